import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { inline, markdownToRoff } from "../../../.ci/markdown.ts";
import { bold, page, plain, table } from "../../../.ci/roff.ts";

describe("markdownToRoff()", () => {
  const roff = (...lines: string[]): string => markdownToRoff(lines.join("\n")).join("\n");

  it("leaves the title out and sets headings", () => {
    assert.equal(roff("# Title", "", "## A part", "### of it"), ".SH A PART\n.SS of it");
    assert.equal(roff("## [proxy]"), ".SH [proxy]");
  });
  it("joins the lines of a paragraph and ends it at a blank one", () => {
    assert.equal(roff("one", "two", "", "three"), ".PP\none two\n.PP\nthree");
  });
  it("sets points and the lines that continue them", () => {
    assert.equal(
      roff("- one", "  and more", "- two"),
      ".IP \\(bu 2\none and more\n.IP \\(bu 2\ntwo",
    );
    assert.equal(roff("before", "- one"), ".PP\nbefore\n.IP \\(bu 2\none");
  });
  it("sets terms and what they mean", () => {
    assert.equal(roff("**HUP**", ": reads", "  again"), ".TP\n\\fBHUP\\fR\nreads again");
  });
  it("keeps examples as they are, with blank lines, and breaks long lines", () => {
    assert.equal(roff("    a 'b'", "", "    .c", "", "d").split("\n").length, 10);
    const long = "x".repeat(100);
    const set = roff(`    ${long}`).split("\n");
    assert.equal(set[3], `${"x".repeat(65)}\\e`);
    assert.equal(set[4], "x".repeat(35));
  });
  it("sets tables with empty cells and code in them", () => {
    const set = roff("| key | what |", "|---|---|", "| `a-b` | |", "| | **c** |");
    assert.match(set, /^key\twhat\n_\n\\fBa\\-b\\fR\t\n\t\\fBc\\fR\n\.TE$/m);
  });
  it("breaks what is too wide for its column, with its markup", () => {
    const wide = `a \`b c\`, ${"word ".repeat(20).trim()}.`;
    const set = roff("| k | what | x |", "|---|---|---|", `| one | ${wide} | y |`, "| two | z | |");
    const rows = set.split("\n").slice(7, -1);
    assert.equal(rows[0]?.slice(0, 37), "one\ta \\fBb\\fR \\fBc\\fR, word word word");
    assert.match(rows[0], /\ty$/);
    assert.match(rows[1] ?? "", /^\tword .*\.\t$/);
    assert.equal(rows[2], "two\tz\t");
    const shownWidths = rows.map((row) => row.replace(/\\f[BR]/g, "").split("\t")[1]?.length ?? 0);
    assert.ok(Math.max(...shownWidths) <= 62, String(shownWidths));
  });
  it("puts in what a table of the program says", () => {
    assert.deepEqual(markdownToRoff("{{x}}", { x: ".TP\ny" }), [".TP\ny"]);
    assert.throws(() => markdownToRoff("a\n\n{{x}}"), /line 3: nothing is called x/);
  });
  it("refuses what it would set wrongly", () => {
    const strange = {
      "a numbered list": "1. one",
      "a fence": "```",
      "a quotation": "> one",
      markup: "<b>one</b>",
      "an image": "![one](two)",
      "a part too deep": "#### one",
      "another kind of point": "* one",
      "a nested point": "a\n  - one",
      "a table without head": "| a | b |\n| c | d |",
      "a row of another length": "| a | b |\n|---|---|\n| c |",
      "bold without an end": "one **two",
      "code without an end": "one `two",
    };
    for (const [what, text] of Object.entries(strange))
      assert.throws(() => markdownToRoff(text), Error, what);
  });
});

describe("inline()", () => {
  it("sets what is to be typed in bold, names in italics, links by their text", () => {
    assert.equal(inline("say `a` or **b** to *c*"), "say \\fBa\\fR or \\fBb\\fR to \\fIc\\fR");
    assert.equal(inline("see [Values](#values)"), "see Values");
    assert.equal(inline("see [a/b.json](a/b.json)"), "see \\fIa/b.json\\fR");
    assert.equal(inline("**A_***X***_***Y*"), "\\fBA_\\fR\\fIX\\fR\\fB_\\fR\\fIY\\fR");
  });
  it("lets no text become a command", () => {
    assert.equal(inline(".TH x"), "\\&.TH x");
    assert.equal(inline("'x'"), "\\&'x'");
    assert.equal(inline("`.TH`"), "\\fB\\&.TH\\fR");
    assert.equal(inline("a\\b"), "a\\eb");
    assert.equal(inline("`a`. b"), "\\fBa\\fR. b");
  });
});

describe("roff", () => {
  it("keeps quotes straight and tildes whole where they are to be typed", () => {
    assert.equal(bold("'~^`"), "\\fB\\(aq\\(ti\\(ha\\(ga\\fR");
    assert.equal(plain("it's ~/x–y…"), "it's \\(ti/x\\(eny\\&...");
  });
  it("asks for tbl only where there is a table, and drops gaps below headings", () => {
    const facts = { name: "x", section: 7, source: "", manual: "", madeFrom: "y" };
    const cell = [{ text: "a", roff: "a" }];
    assert.ok(page({ ...facts, parts: [table([[cell], [cell]])] }).startsWith("'\\\" t\n"));
    const without = page({ ...facts, parts: [".SH A\n.PP\ntext"] });
    assert.ok(without.startsWith('.\\" Made by'));
    assert.ok(without.endsWith(".SH A\ntext\n"));
  });
  it("gives narrow columns their width and lets the wide ones share the rest", () => {
    const word = { text: "words", roff: "words" };
    const cell = (count: number) => Array.from({ length: count }, () => word);
    const widths = (...lengths: number[]): number[] => {
      const set = table([lengths.map(cell), lengths.map(cell)]);
      return [...(set.split("\n")[3] ?? "").matchAll(/w\((\d+)n\)/g)].map(([, n]) => Number(n));
    };
    assert.deepEqual(widths(1, 2), [5, 11]);
    assert.deepEqual(widths(1, 40, 2), [5, 50, 11]);
    assert.deepEqual(widths(20, 1, 20), [30, 5, 31]);
  });
});
