/** Every checker meets what it must find, and what it must leave alone. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import {
  brokenLinks,
  missingScripts,
  unknownCounters,
  wrongChangelog,
  wrongVersion,
} from "./checks/documents.ts";
import {
  cycles,
  deadFiles,
  importsOf,
  importTable,
  undeclaredPackages,
  wrongImports,
} from "./checks/imports.ts";
import { headless, longFiles, stalePapers, unreadOptions, unusedLimits } from "./checks/tables.ts";
import {
  hostsOf,
  namedDirectories,
  namedHosts,
  privateDirectories,
  unfinishedWork,
} from "./checks/words.ts";
import { planted, repository } from "./tree.ts";

describe("importsOf()", () => {
  it("tells imports of types from imports of values, in every form", () => {
    const text = `
      import type { A } from "./a.ts";
      import { type B, type C } from "./b.ts";
      import { type D, e } from "./d.ts";
      import F from "./f.ts";
      import * as g from "./g.ts";
      import "./h.ts";
      export type { I } from "./i.ts";
      export * from "./j.ts";
      export { type K } from "./k.ts";
      type L = import("./l.ts").L;
      const m = await import("./m.ts");
      import {} from "./n.ts";
      const text = 'import "./not.ts"';
    `;
    const found = importsOf("src/x/y.ts", text).map(({ path, typeOnly }) => [
      path?.at(-4),
      typeOnly,
    ]);
    const types = ["a", "b", "i", "k", "l"];
    assert.deepEqual(
      found.sort(),
      Array.from("abdfghijklmn").map((name) => [name, types.includes(name)]),
    );
  });
  it("gives the file that is meant, and none for packages", () => {
    const paths = importsOf("src/x/y.ts", 'import "../z/a.ts"; import "node:fs"; import "got";');
    assert.deepEqual(
      paths.map(({ path }) => path),
      ["src/z/a.ts", undefined, undefined],
    );
  });
});

describe("wrongImports()", () => {
  const verdict = (path: string, text: string): number =>
    wrongImports(planted({ [path]: text }), importTable).length;
  it("finds what the table does not list", () => {
    assert.equal(verdict("src/base/a.ts", 'import "../cache/b.ts";'), 1);
    assert.equal(verdict("src/cache/a.ts", 'import "../archive/b.ts";'), 1);
    assert.equal(verdict("src/sim/a.ts", 'import "../io/b.ts";'), 1);
    assert.equal(verdict("src/daemon/a.ts", 'import "../sim/b.ts";'), 1);
    assert.equal(verdict("src/cli/a.ts", 'const x = await import("../io/b.ts");'), 1);
    assert.equal(verdict("src/base/a.ts", 'import "../../test/kit/b.ts";'), 1);
    assert.equal(verdict("src/toString/a.ts", ""), 1);
    assert.equal(verdict("src/other/a.ts", ""), 1);
  });
  it("lets types through where only types may pass", () => {
    assert.equal(verdict("src/io/a.ts", 'import type { A } from "../engine/ports.ts";'), 0);
    assert.equal(verdict("src/io/a.ts", 'import { A } from "../engine/ports.ts";'), 1);
    assert.equal(verdict("src/io/a.ts", 'import type { A } from "../engine/engine.ts";'), 1);
    assert.equal(verdict("src/engine/a.ts", 'import type { A } from "../config/options.ts";'), 0);
    assert.equal(verdict("src/engine/a.ts", 'import { a } from "../config/options.ts";'), 1);
  });
  it("lets through what the table lists, the own room and packages", () => {
    assert.equal(
      verdict("src/engine/a.ts", 'import "../cache/b.ts"; import "./c.ts"; import "got";'),
      0,
    );
  });
});

describe("cycles()", () => {
  it("names a circle once", () => {
    const files = planted({
      "src/a/a.ts": 'import "./b.ts";',
      "src/a/b.ts": 'import type { C } from "./c.ts";',
      "src/a/c.ts": 'import "./b.ts"; import "./d.ts";',
      "src/a/d.ts": "",
    });
    assert.deepEqual(cycles(files), ["src/a/b.ts → src/a/c.ts → src/a/b.ts"]);
  });
});

describe("deadFiles()", () => {
  it("finds files that neither program nor test reaches", () => {
    const files = planted({
      "src/cli/main.ts": 'import "./run.ts";',
      "src/cli/run.ts": 'await import("../daemon/run.ts");',
      "src/daemon/run.ts": "",
      "src/sim/used.ts": "",
      "src/sim/dead.ts": 'import "./dead-too.ts";',
      "src/sim/dead-too.ts": "",
      "test/a.test.ts": 'import "../src/sim/used.ts";',
    });
    assert.deepEqual(deadFiles(files), ["src/sim/dead.ts", "src/sim/dead-too.ts"]);
  });
});

describe("undeclaredPackages()", () => {
  it("finds packages that are missing or for development only", () => {
    const files = planted({
      "package.json": '{"dependencies":{"got":"1","@a/b":"1"},"devDependencies":{"mocha":"1"}}',
      "src/io/a.ts":
        'import "got"; import "@a/b/c"; import "node:fs"; import "mocha"; import "@a/c";',
    });
    assert.deepEqual(undeclaredPackages(files), [
      "src/io/a.ts imports mocha",
      "src/io/a.ts imports @a/c",
    ]);
  });
});

describe("unfinishedWork()", () => {
  it("finds notes, but not words that contain them", () => {
    const note = ["TO", "DO"].join("");
    const files = planted({
      "a.ts": `// ${note}: later\n// method ${note}S`,
      "b.md": `mktemp X${"XX".repeat(3)}`,
    });
    assert.deepEqual(unfinishedWork(files), [`a.ts:1: // ${note}: later`]);
  });
});

describe("hosts of this machine", () => {
  const hosts = hostsOf([
    "deb http://mirror.example.com/debian x main\nURIs: https://user:pw@deb.example.org:8080/a http://10.0.0.1/b",
    'registry=https://npm.example.net/\nAcquire::http::Proxy "http://cache.example.com:3142";',
    "deb http://localhost:9977/ftp.us.debian.org/debian x main\nhttp://ftp.us.debian.org/debian",
  ]);
  it("are read from every form of configuration; examples and addresses are nobody's", () => {
    assert.deepEqual(hosts, [
      "mirror.example.com",
      "deb.example.org",
      "npm.example.net",
      "cache.example.com",
    ]);
  });
  it("are found as whole names only", () => {
    const files = planted({
      "a.md":
        "see Mirror.example.com.\nxmirror.example.com\nmirror.example.company\nmirror.example.com.au",
      "b.json": '"resolved": "https://npm.example.net/x"',
    });
    assert.deepEqual(
      namedHosts(files, hosts).map((each) => each.split(": ")[0]),
      ["a.md:1", "b.json:1"],
    );
  });
});

describe("directories of this machine", () => {
  it("are checkout, its parent and home, unless everybody has them", () => {
    assert.deepEqual(privateDirectories("/data/jo/apt-p2p", "/home/jo"), [
      "/data/jo/apt-p2p",
      "/data/jo",
      "/home/jo",
    ]);
    assert.deepEqual(privateDirectories("/home/apt-p2p", "/"), ["/home/apt-p2p"]);
  });
  it("are found as whole paths only", () => {
    const text = "/data/jo/x\n/data/john\nmy/data/jo/x\n'/data/jo'\n~/data/jo";
    const found = namedDirectories(planted({ "a.md": text }), ["/data/jo"]);
    assert.deepEqual(
      found.map((each) => each.split(": ")[0]),
      ["a.md:1", "a.md:4"],
    );
  });
});

describe("stalePapers()", () => {
  it("finds papers that are missing or old", () => {
    const made = new Map([
      ["a", "1"],
      ["b", "2"],
      ["c", "3"],
    ]);
    assert.equal(stalePapers(planted({ a: "1", b: "old" }), made).length, 2);
  });
});

describe("unreadOptions()", () => {
  it("wants an access or a destructuring outside of config and cli", () => {
    const files = planted({
      "src/daemon/a.ts": "const { port, bind: addresses } = config.proxy; use(config.log.level);",
      "src/config/b.ts": "config.log.requests;",
      "src/cli/b.ts": "config.log.requests;",
    });
    const options = ["port", "bind", "level", "requests", "addresses"].map((property) => ({
      section: "x",
      property,
    }));
    assert.deepEqual(unreadOptions(files, options), ["config.x.requests", "config.x.addresses"]);
  });
  it("takes an option that the program reads which apt asks", () => {
    const files = planted({ "etc/apt-proxy": "case $1/$name in\n  apt/direct_hosts) ;;\nesac\n" });
    const options = ["direct_hosts", "hosts", "direct"].map((name) => ({
      ...{ section: "apt", name, property: name },
    }));
    assert.deepEqual(unreadOptions(files, options), ["config.apt.hosts", "config.apt.direct"]);
  });
});

describe("unusedLimits()", () => {
  it("finds entries that nobody names", () => {
    const files = planted({
      "src/base/limits.ts": "export const limits = {\n  aBytes: 1,\n  bMs: limits.aBytes,\n};",
      "src/io/a.ts": "use(limits.aBytes, limits.bMsx)",
    });
    assert.deepEqual(unusedLimits(files), ["bMs"]);
  });
});

describe("longFiles()", () => {
  it("allows 500 lines", () => {
    const lines = (count: number): string => "x\n".repeat(count);
    const files = planted({
      "src/a/a.ts": lines(500),
      "src/a/b.ts": lines(501),
      "test/c.ts": lines(999),
    });
    assert.deepEqual(longFiles(files), ["src/a/b.ts: 501 lines"]);
  });
});

describe("headless()", () => {
  it("wants a comment on the file or on something that it declares", () => {
    const files = planted({
      "src/a/a.ts": '/** What it is. */\nimport "./b.ts";\nexport {};',
      "src/a/b.ts": 'import "./c.ts";\n\n/** What it is. */\nexport const b = 1;',
      "src/a/c.ts": "// No.\nexport const c = {\n  /** A detail. */\n  d: 1 };",
    });
    assert.deepEqual(headless(files), ["src/a/c.ts"]);
  });
});

describe("brokenLinks()", () => {
  it("finds missing files and headings, and leaves code and the web alone", () => {
    const files = planted({
      "README.md":
        "[a](docs/a.md) [b](docs/b.md) [c](docs/a.md#the-life-of-a-request) [d](#nowhere) [e](https://x.y) [f](docs)\n`[g](h)`\n```\n[i](j)\n```",
      "docs/a.md": "# The `life` of a request!\n[up](../README.md)",
    });
    assert.deepEqual(brokenLinks(files), [
      "README.md: docs/b.md: no such file",
      "README.md: #nowhere: no such heading",
    ]);
  });
});

describe("missingScripts()", () => {
  it("finds names that package.json lacks", () => {
    const files = planted({
      "package.json": '{"scripts":{"ok":"x","test":"x","bench:cache":"x"}}',
      "README.md":
        "npm run ok; npm test; npm run bench:cache -- --json; npm run --silent gone; npm start",
    });
    assert.deepEqual(missingScripts(files), [
      "README.md: npm run gone",
      "README.md: npm run start",
    ]);
  });
});

describe("unknownCounters()", () => {
  it("knows whole names, templates and names that are no counters", () => {
    const files = planted({
      "src/proxy/a.ts": 'counters.add("proxy.cut"); counters.add(`proxy.bytes.${origin}`, n);',
      "src/config/a.ts": "",
      "A.md":
        "Counters are `proxy.cut` `proxy.bytes.cache`\n`proxy.gone` `config.proxy.port` `proxy.ts` `other.thing`.\n\nCall `proxy.method`.",
    });
    assert.deepEqual(unknownCounters(files), ["A.md: proxy.gone"]);
  });
});

describe("wrongChangelog()", () => {
  const check = (text: string): string[] =>
    wrongChangelog(planted({ "CHANGELOG.md": text, "package.json": '{"version":"0.2.0"}' }));
  const good =
    "# Changelog\n\nText.\n\n## 0.2.0 (2026-02-01)\n\n### Added\n- y\n\n## 0.1.0 (2026-01-01)\n\n- z\n";
  it("takes one in order, and none at all", () => {
    assert.deepEqual(check(good), []);
    assert.deepEqual(check(good.replace("2026-02-01", "unreleased")), []);
    assert.deepEqual(wrongChangelog(planted({})), []);
  });
  it("finds each kind of disorder", () => {
    assert.match(check(good.slice(2))[0]!, /does not begin/);
    assert.match(check(good.replace("## 0.1.0 (2026-01-01)", "## 0.1"))[0]!, /## 0\.1" is none of/);
    assert.match(check(good.replace("2026-01-01", "2026-13-01"))[0]!, /is none of/);
    assert.match(check(good.replace("2026-01-01", "unreleased"))[0]!, /only the first/);
    assert.match(
      check(good.replace("2026-01-01", "2027-01-01"))[0]!,
      /newest release is not the first/,
    );
    assert.match(check(good.replace("- z", "z"))[0]!, /without a list/);
    assert.match(check(good.replace("0.2.0", "0.3.0"))[0]!, /0\.3\.0 is not package\.json/);
    assert.match(check("# Changelog\n")[0]!, /without a list/);
  });
});

describe("wrongVersion()", () => {
  it("compares with package.json", () => {
    const files = (own: string) =>
      planted({
        "package.json": '{"version":"1.0.0"}',
        "src/base/version.ts": `export const version = "${own}";`,
      });
    assert.deepEqual(wrongVersion(files("1.0.0")), []);
    assert.equal(wrongVersion(files("1.0.1")).length, 1);
  });
});

describe("repository()", () => {
  it("has this file and leaves out what is built or installed", () => {
    const files = repository();
    assert.ok(files.has("test/tidy/checkers.test.ts"));
    assert.ok(![...files.keys()].some((path) => /^(node_modules|dist|\.git)\//.test(path)));
  });
});
