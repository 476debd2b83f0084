/** The report as a page of Markdown. Pure. */
import type { Report } from "./report.ts";

export function reportPage(report: Report): string {
  return [
    `# ${report.scenario}`,
    "",
    ...(report.about === "" ? [] : [report.about, ""]),
    `${report.date}, seed ${report.seed}, ${report.hosts.length} ${report.kind}, ` +
      `apt-p2p ${report.version}. ${report.ok ? "All went well." : "Not all went well: see below."}`,
    "",
    Object.entries(report.machine)
      .map(([name, value]) => `${name} ${value}`)
      .join(", ") + ".",
    "",
    ...report.notes.flatMap((note) => [note, ""]),
    ...section("Failures", list(report.failures)),
    ...section("Times", times(report)),
    ...section("Phases", phases(report)),
    ...section("Hosts", hosts(report)),
    ...section(
      "Figures",
      report.figures.flatMap((name) => [`![${name.replace(/\.svg$/, "")}](${name})`, ""]),
    ),
  ]
    .join("\n")
    .replace(/\n+$/, "\n");
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`## ${title}`, "", ...lines, ""];
}

/** One line each: the rest is in report.json and in the logs. */
function list(texts: readonly string[]): readonly string[] {
  return texts.map((text) => `- ${inLine(text).slice(0, 300)}`);
}

function times(report: Report): readonly string[] {
  return table(
    ["phase", "what", "runs", "failed", "median s", "90 % s", "last s"],
    report.times.map((row) => [
      ...[row.phase, row.do, `${row.count}`, `${row.failed}`],
      ...[row.median, row.p90, row.last].map(seconds),
    ]),
  );
}

function phases(report: Report): readonly string[] {
  return table(
    ["phase", "took s", "from peers", "from mirrors", "from cache", "given", "mirror sent"],
    report.phases.map(({ name, milliseconds, bytes, mirror }) => [
      ...[name, seconds(milliseconds / 1000)],
      ...[bytes.fromPeers, bytes.fromMirror, bytes.fromCache, bytes.uploaded].map(megabytes),
      mirror === undefined
        ? "not seen"
        : `${megabytes(mirror.bodyBytes)} in ${mirror.requests} answers`,
    ]),
  );
}

function hosts(report: Report): readonly string[] {
  return table(
    [
      "host",
      "group",
      "ready s",
      "from peers",
      "from mirrors",
      "given",
      "CPU s",
      "memory",
      "failures",
    ],
    report.hosts.map((host) => [
      ...[host.name, host.group],
      readiness(host),
      ...[host.bytes.fromPeers, host.bytes.fromMirror, host.bytes.uploaded].map(megabytes),
      ...[seconds(host.cpuMs / 1000), megabytes(host.peakRssBytes), `${host.failures.length}`],
    ]),
  );
}

function readiness({ kind, readyMs }: Report["hosts"][number]): string {
  if (kind === "liar") return "a liar";
  return readyMs === undefined ? "never" : seconds(readyMs / 1000);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  if (rows.length === 0) return [];
  const line = (cells: readonly string[]): string => `| ${cells.map(inLine).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}

/** Nothing that a host has said may look like Markdown's own signs. */
function inLine(text: string): string {
  return text.replace(/\s+/g, " ").replace(/[\\|<`*_[\]]/g, "\\$&");
}

function seconds(value: number): string {
  return Number.isNaN(value) ? "none" : value.toFixed(2);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e6 ? 3 : 1)} MB`;
}
