import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { optionRows } from "../../../src/config/options.ts";
import { parseConfig } from "../../../src/config/parse.ts";
import type { ConfigSources } from "../../../src/config/parse.ts";
import { problemText } from "../../../src/config/problems.ts";
import { settingsText } from "../../../src/config/settings.ts";

const nothing: ConfigSources = { files: [], environment: {}, flags: {}, context: { isRoot: true } };

function parse(sources: Partial<ConfigSources>) {
  return parseConfig({ ...nothing, ...sources });
}

function good(sources: Partial<ConfigSources>) {
  const result = parse(sources);
  assert.ok(result.problems === undefined, JSON.stringify(result.problems));
  return result;
}

/** What is wrong, as text. */
function bad(sources: Partial<ConfigSources>): string[] {
  const result = parse(sources);
  assert.ok(result.problems !== undefined);
  return result.problems.map(problemText);
}

const file = (text: string, path = "/etc/x.conf") => ({ path, text });

describe("parseConfig()", () => {
  it("lets the later source win: default, files in order, environment, flag", () => {
    const files = [
      file("[proxy]\nport = 1\n[log]\nlevel = warn"),
      file("[proxy]\nport = 2", "/b.conf"),
    ];
    const environment = { APT_P2P_PROXY_PORT: "3", PATH: "/bin" };
    assert.equal(good({}).config.proxy.port, 9977);
    assert.equal(good({ files: files.slice(0, 1) }).config.proxy.port, 1);
    assert.equal(good({ files }).config.proxy.port, 2);
    assert.equal(good({ files, environment }).config.proxy.port, 3);
    const all = good({ files, environment, flags: { port: "4" } });
    assert.equal(all.config.proxy.port, 4);
    assert.equal(all.config.log.level, "warn");
  });
  it("reaches every option from file, environment and flag", () => {
    for (const row of optionRows) {
      const text =
        typeof row.option.default === "string" ? row.option.default : row.option.default.shown;
      for (const sources of [
        { files: [file(`[${row.section}]\n${row.name} = ${text}`)] },
        { environment: { [row.variable]: text } },
        { flags: { [row.flag]: text } },
      ]) {
        const setting = good(sources).settings.find((each) => each.row === row);
        assert.notEqual(setting?.origin.kind, "default", row.name);
      }
    }
  });
  it("names file, line, option, value and what is accepted", () => {
    assert.deepEqual(bad({ files: [file("# hi\n[proxy]\nport = 99999")] }), [
      '/etc/x.conf:3: [proxy] port = "99999": expected a whole number from 0 to 65535',
    ]);
    assert.deepEqual(bad({ environment: { APT_P2P_LOG_REQUESTS: "maybe" } }), [
      'environment APT_P2P_LOG_REQUESTS: [log] requests = "maybe": expected yes or no (also true, false, on, off, 1, 0)',
    ]);
    assert.match(
      bad({ flags: { "stall-timeout": "10" } })[0]!,
      /^command line --stall-timeout: \[mirror\] stall_timeout = "10": expected a time .* \(with a unit, such as 10s\)$/,
    );
  });
  it("reports all problems of all sources at once, also of values that are overridden", () => {
    const texts = bad({
      files: [
        file("[proxy]\nport = x\nprot = 1\n[prxy]\na = 1\noops"),
        file("[log]\nport = 1", "/b.conf"),
      ],
      environment: { APT_P2P_PROXY_PORTS: "1", APT_P2P_STORE_QUOTA: "10" },
      flags: { port: "1", level: "loud" },
    });
    assert.equal(texts.length, 8);
    for (const part of [
      '/etc/x.conf:2: [proxy] port = "x": expected',
      '/etc/x.conf:3: [proxy] prot = "1": there is no such option; did you mean "port"?',
      '/etc/x.conf:4: [prxy]: there is no such section; did you mean "proxy"?',
      '/etc/x.conf:6: cannot read "oops"',
      '/b.conf:2: [log] port = "1": this option belongs into [proxy]',
      'environment APT_P2P_PROXY_PORTS: there is no such option; did you mean "APT_P2P_PROXY_PORT"?',
      'environment APT_P2P_STORE_QUOTA: [store] quota = "10": expected auto, or a size',
      'command line --level: [log] level = "loud": expected one of debug, info, warn, error',
    ]) {
      assert.ok(
        texts.some((text) => text.startsWith(part)),
        part,
      );
    }
  });
  it("lists what there is when nothing is near", () => {
    const [key, section] = bad({ files: [file("[log]\nzzzzzz = 1\n[qqqqqq]")] });
    // The section is reported first, since entries are looked at afterwards.
    assert.match(
      `${key!} ${section!}`,
      /sections are proxy, apt, mirror, archive, store, dht, peers, router, log .*\[log\] has level, requests/,
    );
  });
  it("refuses a key that is given twice in one file, but not one of two files", () => {
    assert.match(
      bad({ files: [file("[proxy]\nport = 1\n[proxy]\nport = 2")] })[0]!,
      /x\.conf:4: .* already been set on line 2/,
    );
    assert.equal(
      good({ files: [file("[proxy]\nport = 1"), file("[proxy]\nport = 2", "/y")] }).config.proxy
        .port,
      2,
    );
  });
  it("asks for a directory when the user has no home", () => {
    const texts = bad({ context: { isRoot: false } });
    assert.equal(texts.length, 2);
    assert.match(
      texts[0]!,
      /default: \[store\] cache_dir: there is no home directory .* --cache-dir/,
    );
  });
  it("gives a configuration that nobody can change", () => {
    const { config } = good({});
    assert.throws(() => ((config.proxy as { port: number }).port = 1), TypeError);
  });
  it("does not mistake properties of objects for options or sections", () => {
    assert.equal(bad({ files: [file("[constructor]\nx = 1\n[proxy]\n__proto__ = 1")] }).length, 2);
    assert.equal(bad({ environment: { APT_P2P_CONSTRUCTOR: "1" } }).length, 1);
  });
  it("gives a configuration or problems for any file, and never throws", () => {
    const names = fc.constantFrom(
      "[proxy]",
      "[store]",
      "port",
      "quota",
      "bind",
      "=",
      " ",
      "\n",
      "#",
      "10GB",
      "1s",
      ",",
      "::1",
      "auto",
      "/",
    );
    const texts = fc.array(fc.oneof(names, fc.string({ unit: "binary", maxLength: 4 })), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(texts, (parts) => {
        const result = parse({ files: [file(parts.join(""))] });
        if (result.problems === undefined) assert.equal(result.settings.length, optionRows.length);
        else for (const problem of result.problems) assert.ok(!problemText(problem).includes("\n"));
      }),
      { seed: 3, numRuns: 300 },
    );
  });
});

describe("settingsText()", () => {
  it("is a file that gives the same configuration", () => {
    const flags = {
      bind: "0.0.0.0",
      allow: "10.0.0.0/8,fd00::/8",
      quota: "12.5 GB",
      "offer-dirs": "",
    };
    const before = good({ flags });
    const after = good({ files: [file(settingsText(before.settings))] });
    assert.deepEqual(after.config, before.config);
  });
  it("says where each value comes from", () => {
    const text = settingsText(
      good({
        files: [file("[proxy]\nport=80")],
        environment: { APT_P2P_LOG_LEVEL: "warn" },
        flags: { quota: "0" },
      }).settings,
    );
    assert.match(text, /^port = 80 +# \/etc\/x\.conf:2$/m);
    assert.match(text, /^level = warn +# environment APT_P2P_LOG_LEVEL$/m);
    assert.match(text, /^quota = 0 +# command line --quota$/m);
    assert.match(text, /^bind = 0\.0\.0\.0, :: +# default$/m);
  });
});
