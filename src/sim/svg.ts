/** A chart's frame as SVG text: axes, grid, curves and legend. Pure; the same input, the same text. */

/** A curve through points in data units, with its name in the legend. */
export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Axis {
  readonly label: string;
  /** Data units at the two ends; for `log` both above 0. */
  readonly from: number;
  readonly to: number;
  readonly scale: "linear" | "log";
  /** Where lines of the grid run, ascending, with what is written there. */
  readonly ticks: readonly (readonly [value: number, text: string])[];
}

export interface Chart {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly curves: readonly Curve[];
  /** Where the legend does not hide the curves. */
  readonly legend: "top right" | "bottom right";
}

const width = 800;
const height = 500;
/** The plot's rectangle in pixels: room for labels on its left and below. */
export const plot = { left: 80, right: 770, top: 50, bottom: 430 } as const;

/** Okabe and Ito's colours, which colour-blind people tell apart, without their yellow. */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];
/** From the eighth curve on colours come again, with dashes. */
const dashes = ["", ' stroke-dasharray="7 4"', ' stroke-dasharray="2 3"'];

export function chartSvg(chart: Chart): string {
  const { title, x, y, curves } = chart;
  const middle = (plot.left + plot.right) / 2;
  const centre = (plot.top + plot.bottom) / 2;
  const upright = `transform="rotate(-90 24 ${centre})"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
      `viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13" fill="#222222">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(middle, 30, title, ' text-anchor="middle" font-size="16"'),
    ...x.ticks.flatMap(([value, name]) => xTick(xOf(x, value), name)),
    ...y.ticks.flatMap(([value, name]) => yTick(yOf(y, value), name)),
    `<rect x="${plot.left}" y="${plot.top}" width="${plot.right - plot.left}" ` +
      `height="${plot.bottom - plot.top}" fill="none" stroke="#444444"/>`,
    text(middle, 480, x.label, ' text-anchor="middle"'),
    text(24, centre, y.label, ` text-anchor="middle" ${upright}`),
    ...curves.map(({ points }, index) => polyline(chart, points, index)),
    ...legend(chart),
    "</svg>",
    "",
  ].join("\n");
}

function xTick(at: number, name: string): string[] {
  return [
    line([at, plot.top], [at, plot.bottom], 'stroke="#dddddd"'),
    line([at, plot.bottom], [at, plot.bottom + 5], 'stroke="#444444"'),
    text(at, plot.bottom + 20, name, ' text-anchor="middle"'),
  ];
}

function yTick(at: number, name: string): string[] {
  return [
    line([plot.left, at], [plot.right, at], 'stroke="#dddddd"'),
    line([plot.left - 5, at], [plot.left, at], 'stroke="#444444"'),
    text(plot.left - 9, at + 4, name, ' text-anchor="end"'),
  ];
}

function polyline({ x, y }: Chart, points: Curve["points"], index: number): string {
  const pixels = points.map(([a, b]) => `${rounded(xOf(x, a))},${rounded(yOf(y, b))}`);
  return `<polyline fill="none" ${stroke(index)} points="${pixels.join(" ")}"/>`;
}

function legend(chart: Chart): string[] {
  const { curves } = chart;
  const longest = Math.max(0, ...curves.map(({ name }) => name.length));
  // The width of a letter is a guess, on the safe side for 13 pixels of any sans-serif.
  const boxWidth = 60 + 7.5 * longest;
  const boxHeight = 10 + 20 * curves.length;
  const left = plot.right - 10 - boxWidth;
  const top = chart.legend === "top right" ? plot.top + 10 : plot.bottom - 10 - boxHeight;
  if (curves.length === 0) return [];
  return [
    `<rect x="${left}" y="${top}" width="${boxWidth}" height="${boxHeight}" fill="#ffffff" ` +
      'fill-opacity="0.85" stroke="#bbbbbb"/>',
    ...curves.flatMap(({ name }, index) => {
      const at = top + 15 + 20 * index;
      return [
        line([left + 8, at], [left + 36, at], stroke(index)),
        text(left + 44, at + 4, name, ""),
      ];
    }),
  ];
}

function stroke(index: number): string {
  const colour = colours[index % colours.length] ?? "#000000";
  const dash = dashes[Math.floor(index / colours.length) % dashes.length] ?? "";
  return `stroke="${colour}" stroke-width="2" stroke-linejoin="round"${dash}`;
}

type Point = readonly [x: number, y: number];

function line([x1, y1]: Point, [x2, y2]: Point, style: string): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map(rounded);
  return `<line x1="${a}" y1="${b}" x2="${c}" y2="${d}" ${style}/>`;
}

function text(x: number, y: number, content: string, style: string): string {
  return `<text x="${rounded(x)}" y="${rounded(y)}"${style}>${escaped(content)}</text>`;
}

/** Where an x value stands, in pixels; beyond the axis' ends at the ends. */
export function xOf(axis: Axis, value: number): number {
  return plot.left + shareOf(axis, value) * (plot.right - plot.left);
}

export function yOf(axis: Axis, value: number): number {
  return plot.bottom - shareOf(axis, value) * (plot.bottom - plot.top);
}

function shareOf({ from, to, scale }: Axis, value: number): number {
  const at = Math.min(to, Math.max(from, value));
  if (scale === "linear") return (at - from) / (to - from);
  return Math.log(at / from) / Math.log(to / from);
}

/** Hundredths of a pixel are seen by nobody. */
function rounded(pixels: number): string {
  return String(Math.round(100 * pixels) / 100);
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

/** Text as XML 1.0 allows it: markup escaped, what no XML may contain replaced. */
function escaped(content: string): string {
  return content
    .replace(/[&<>"]/g, (sign) => entities[sign] ?? "")
    .replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
}
