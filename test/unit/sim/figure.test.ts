/** Figures are well-formed, and their curves are where the data is. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { cdfFigure, responseTimeBins, responseTimeFigure } from "../../../src/sim/figure.ts";

/** Throws unless all elements are closed in order and no markup is left in texts. */
function assertWellFormed(svg: string): void {
  const open: string[] = [];
  const rest = svg.replace(/<(\/?)([a-z]+)((?: [a-zA-Z0-9:-]+="[^"<]*")*)(\/?)>/g, (tag, ...m) => {
    const [close, name, , empty] = m as string[];
    if (close === "/") assert.equal(open.pop(), name, tag);
    else if (empty === "") open.push(name!);
    return "";
  });
  assert.deepEqual(open, []);
  assert.doesNotMatch(rest.replace(/&(amp|lt|gt|quot);/g, ""), /[<>&]/);
}

/** Pixels of each curve. */
function polylines(svg: string): number[][][] {
  return [...svg.matchAll(/<polyline [^>]*points="([^"]*)"/g)].map((match) =>
    match[1]!
      .split(" ")
      .filter((pair) => pair !== "")
      .map((pair) => pair.split(",").map(Number)),
  );
}

const texts = (svg: string): string[] =>
  [...svg.matchAll(/<text [^>]*>([^<]*)</g)].map((match) => match[1]!);

describe("responseTimeBins()", () => {
  it("has bins around whole seconds, the outer ones with all that is beyond", () => {
    const shares = responseTimeBins([0, 0.2, 1.49, 1.5, 2.4, 29.49, 29.5, 31, 1e9, 12]);
    const expected = new Array<number>(30).fill(0);
    Object.assign(expected, { 0: 0.3, 1: 0.2, 11: 0.1, 28: 0.1, 29: 0.3 });
    assert.deepEqual(shares, expected);
    assert.equal(Math.max(...responseTimeBins([])), 0);
  });
});

describe("responseTimeFigure()", () => {
  const svg = responseTimeFigure({
    title: 'Response <times> & "more" \u0007',
    curves: [
      { name: "Original", shares: responseTimeBins([1, 1, 1, 30]) },
      { name: "+ re-ping", shares: responseTimeBins([15]) },
    ],
  });

  it("is well-formed whatever the texts are", () => {
    assertWellFormed(svg);
    assert.ok(texts(svg).includes("Response &lt;times&gt; &amp; &quot;more&quot; \ufffd"));
    for (const name of ["Original", "+ re-ping", "Average response time (s)", "Fraction of nodes"])
      assert.ok(texts(svg).includes(name), name);
  });

  it("draws each curve through its bins", () => {
    const [first, second] = polylines(svg);
    assert.equal(polylines(svg).length, 2);
    assert.deepEqual([first!.length, second!.length], [30, 30]);
    // The plot is 690 × 380 pixels from (80, 430) on; its axes end at 30 s and, here, at 1.
    assert.deepEqual(first![0], [80 + 690 / 30, 430 - 0.75 * 380]);
    assert.deepEqual(first![1], [80 + 2 * (690 / 30), 430]);
    assert.deepEqual(first![29], [770, 430 - 0.25 * 380]);
    assert.deepEqual(second![14], [80 + 690 / 2, 50]);
  });

  it("has the paper's axis up to 0.5 when that is enough", () => {
    const low = responseTimeFigure({ title: "", curves: [{ name: "a", shares: [0.25] }] });
    assert.deepEqual(polylines(low), [[[103, 430 - 0.5 * 380]]]);
    assert.ok(texts(low).includes("0.5") && !texts(low).includes("0.6"));
    assertWellFormed(responseTimeFigure({ title: "none", curves: [] }));
  });
});

describe("cdfFigure()", () => {
  const curves = [
    { name: "first value", values: [1000, 10, 100] },
    { name: "done", values: [100] },
    { name: "nothing", values: [] },
  ];

  it("puts the share at or below each value on a logarithmic axis of whole decades", () => {
    const svg = cdfFigure({ title: "t", label: "Time (ms)", scale: "log", curves });
    assertWellFormed(svg);
    const [first, done, nothing] = polylines(svg);
    assert.deepEqual(
      [first![0], first!.at(-1)],
      [
        [80, 430],
        [770, 50],
      ],
    );
    assert.deepEqual(first![200], [425, 240], "the median, 100 ms, is in the middle");
    assert.ok(done!.every(([x]) => x === 425));
    assert.deepEqual(nothing, []);
    for (const tick of ["10", "20", "500", "1000"]) assert.ok(texts(svg).includes(tick), tick);
  });

  it("ends a linear axis at a round number", () => {
    const values = Array.from({ length: 101 }, (_, index) => 3.8 * index);
    const svg = cdfFigure({
      title: "t",
      label: "x",
      scale: "linear",
      curves: [{ name: "a", values }],
    });
    assertWellFormed(svg);
    assert.ok(texts(svg).includes("400") && !texts(svg).includes("450"));
    const [points] = polylines(svg);
    assert.deepEqual(points![0], [80, 430]);
    assert.deepEqual(points![400], [80 + (690 * 380) / 400, 50]);
  });

  it("survives values that have no logarithm, and none at all", () => {
    for (const values of [[0, -5], [0, 3], [], [7]]) {
      for (const scale of ["log", "linear"] as const) {
        const svg = cdfFigure({ title: "t", label: "x", scale, curves: [{ name: "a", values }] });
        assertWellFormed(svg);
        assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
        for (const [x, y] of polylines(svg).flat()) {
          assert.ok(x! >= 80 && x! <= 770 && y! >= 50 && y! <= 430, `${values.join()} ${x} ${y}`);
        }
      }
    }
  });

  it("tells many curves apart", () => {
    const many = Array.from({ length: 20 }, (_, i) => ({ name: `c${i}`, values: [i + 1] }));
    const svg = cdfFigure({ title: "t", label: "x", scale: "log", curves: many });
    const styles = [...svg.matchAll(/<polyline fill="none" (.*) points/g)].map((match) => match[1]);
    assert.deepEqual([styles.length, new Set(styles).size], [20, 20]);
  });
});
