/** The manual pages say all that they should, and nothing that is not so. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "mocha";
import { papers } from "../../.ci/papers.ts";
import { commands } from "../../src/cli/commands.ts";
import { exitCodes } from "../../src/cli/exit-codes.ts";
import { optionRows } from "../../src/config/options.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { below, repository } from "./tree.ts";

const made = papers();
const paper = (path: string): string => made.get(path) ?? assert.fail(`no ${path}`);
const manuals = [...made].filter(([path]) => path.startsWith("man/"));

/** What a reader sees, as lines; a table's format and macros are gone. */
function shown(roff: string): string {
  return roff
    .replace(/^\.TS$[^]*?\.$/gm, "")
    .replace(/\\e\n/g, "")
    .replace(/^_$/gm, "")
    .replace(/^\.(?:S[HS]|TH) /gm, "")
    .replace(/^['.].*$/gm, "")
    .replace(/\\f[BIR]|\\&/g, "")
    .replaceAll("\\-", "-")
    .replaceAll("\\(aq", "'")
    .replaceAll("\\(ti", "~")
    .replaceAll("\\(ha", "^")
    .replaceAll("\\(en", "–")
    .replaceAll("\\e", "\\");
}

describe("apt-p2p(8)", () => {
  const text = shown(paper("man/apt-p2p.8"));

  it("has every command, option and exit status", () => {
    for (const { name, summary } of commands) {
      assert.match(text, new RegExp(`^${name}(?: .*)?$`, "m"));
      assert.ok(text.includes(summary.slice(1)), name);
    }
    for (const { flag } of optionRows) assert.ok(text.includes(`\n--${flag} `), flag);
    for (const { code } of Object.values(exitCodes))
      assert.match(text, new RegExp(`^${code}$`, "m"));
  });

  it("has the sections that an administrator looks for, in man-pages(7)'s order", () => {
    const wanted = ["NAME", "SYNOPSIS", "DESCRIPTION", "HOW APT USES IT", "COMMANDS", "OPTIONS"];
    wanted.push("SHARING", "FIREWALL", "EXIT STATUS", "ENVIRONMENT", "SIGNALS", "FILES");
    wanted.push("SECURITY", "PRIVACY", "MANY MACHINES", "EXAMPLES", "SEE ALSO");
    const titles = [...paper("man/apt-p2p.8").matchAll(/^\.SH (.*)$/gm)].map(([, title]) => title);
    assert.deepEqual(titles, wanted);
  });

  it("names only options and commands that exist", () => {
    const names = new Set(optionRows.map(({ name }) => name));
    const firsts = new Set(commands.map(({ name }) => name.split(" ")[0]));
    const [source = ""] = below(repository(), ".ci/manual/apt-p2p.8.md").map(([, each]) => each);
    const assigned = [...source.matchAll(/\*\*([a-z]+(?:_[a-z]+)*) = /g)];
    const underscored = [...source.matchAll(/\*\*([a-z]+(?:_[a-z]+)+)\*\*/g)];
    const mentioned = [...assigned, ...underscored].map(([, name = ""]) => name);
    assert.ok(mentioned.length > 8);
    // Variables of the environment that are no options.
    const others = ["http_proxy", "no_proxy"];
    const wrong = mentioned.filter((name) => !names.has(name) && !others.includes(name));
    assert.deepEqual(wrong, []);
    const called = [...source.matchAll(/(?:\*\*|^ {4})apt-p2p ([a-z]+)/gm)].map(([, name]) => name);
    assert.ok(called.length > 8);
    assert.deepEqual(
      called.filter((name) => !firsts.has(name ?? "")),
      [],
    );
  });

  it("says after which exit statuses the service stays down", function () {
    const unit = repository().get("debian/apt-p2p.service");
    if (unit === undefined) this.skip();
    const [, kept = ""] = /^RestartPreventExitStatus=(.*)$/m.exec(unit) ?? [];
    const said = kept.replace(/ (\d+)$/, " and $1").replace(/(\d) (?=\d)/g, "$1, ");
    assert.ok(text.includes(`not started again by itself after ${said}:`), kept);
  });

  it("names only files that the package brings", function () {
    const files = repository();
    const brought = packaged();
    if (brought.size === 0) this.skip();
    const [, section = ""] =
      /^## Files\n([^]*?)^## /m.exec(files.get(".ci/manual/apt-p2p.8.md") ?? "") ?? [];
    const named = [...section.matchAll(/^\*(\/\S+)\*$/gm)].map(([, path = ""]) => path);
    assert.ok(named.length >= 7);
    assert.deepEqual(
      named.filter((path) => !brought.has(path)),
      [],
    );
  });
});

/** Paths that the Debian package installs or its parts make; nothing where it is not built from here. */
function packaged(): ReadonlySet<string> {
  const files = repository();
  const paths = new Set<string>();
  for (const [, text] of below(files, "debian/", ".install")) {
    for (const [, source = "", target = ""] of text.matchAll(/^(\S+)\s+(\S+)$/gm))
      paths.add(`/${target}/${source.split("/").at(-1) ?? ""}`);
  }
  for (const [, text] of below(files, "debian/", ".dirs"))
    for (const [path] of text.matchAll(/^\S+$/gm)) paths.add(`/${path}`);
  for (const [, path = ""] of (files.get("debian/rules") ?? "").matchAll(
    /install -D .*\$\(root\)(\/\S+)$/gm,
  ))
    paths.add(path);
  for (const [, text] of below(files, "debian/", ".service")) {
    for (const [, kind = "", name = ""] of text.matchAll(/^(State|Cache)Directory=(\S+)$/gm))
      paths.add(`/var/${kind === "State" ? "lib" : "cache"}/${name}`);
  }
  // Made by a command, obeyed by the probe.
  if (/\bdisabled\b/.test(files.get("etc/apt-proxy") ?? "")) paths.add("/etc/apt-p2p/disabled");
  return paths;
}

describe("apt-p2p.conf(5)", () => {
  it("has every option with its default and what is accepted", () => {
    const text = shown(paper("man/apt-p2p.conf.5"));
    for (const { name, option } of optionRows) {
      assert.ok(text.includes(`\n${name} = `), name);
      assert.ok(text.includes(`Accepted: ${option.kind.accepted}`), name);
    }
  });
});

describe("manual pages", () => {
  it("have examples of the configuration that the daemon takes", () => {
    let count = 0;
    for (const [path, source] of below(repository(), ".ci/manual/")) {
      for (const [block] of source.matchAll(/(?:^ {4}.*\n|^\n(?= {4}))+/gm)) {
        const text = block.replace(/^ {4}/gm, "").trim();
        if (!text.startsWith("[")) continue;
        count++;
        const result = parseConfig({
          files: [{ path, text }],
          environment: {},
          flags: {},
          context: { isRoot: true },
        });
        assert.deepEqual(result.problems, undefined, `${path}: ${text}`);
      }
    }
    assert.ok(count >= 5);
  });

  it("have lines that end in a backslash only where the page says so", () => {
    for (const [path, text] of manuals)
      assert.equal(/\\e$/m.test(text), text.includes("end in a backslash"), path);
  });

  it("fit a terminal of 80 columns", function () {
    this.timeout(30_000);
    for (const [path, text] of manuals) {
      let lines: string[];
      try {
        const words = ["-man", "-t", "-Tutf8", "-Kutf8", "-P-cbou", "-rLL=78n"];
        lines = execFileSync("groff", words, { input: text, encoding: "utf8" }).split("\n");
      } catch {
        return this.skip();
      }
      assert.ok(lines.length > 100, path);
      assert.deepEqual(
        lines.filter((line) => line.length > 80),
        [],
        path,
      );
    }
  });
});

describe("apt-p2p-protocol(7)", () => {
  const words = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const source = (repository().get("PROTOCOL.md") ?? "")
    .replace(/^# .*$/m, "")
    .replace(/\]\([^)]*\)/g, "]")
    .replace(/^\|[-|]+\|$/gm, "")
    .replace(/^(?:#+|-) /gm, "");
  const body = (roff: string): string =>
    /next line\.([^]*)see also/i.exec(shown(roff))?.[1] ?? assert.fail("not found");
  const page = paper("man/apt-p2p-protocol.7");

  it("says every word of PROTOCOL.md, outside of tables in its order", () => {
    const given = words(body(page.replace(/^\.TS$[^]*?^\.TE$/gm, "")));
    const wanted = words(source.replace(/^\|.*$/gm, ""));
    for (const [index, word] of wanted.entries())
      assert.equal(given[index], word, given.slice(Math.max(0, index - 5), index + 5).join(" "));
    assert.equal(given.length, wanted.length);
    // In tables, lines of one cell stand between those of another.
    assert.deepEqual(words(body(page)).sort(), words(source).sort());
  });
});
