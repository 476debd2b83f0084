import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { parseArguments } from "../../../src/cli/arguments.ts";
import { commands } from "../../../src/cli/commands.ts";

function usage(...words: string[]): string {
  const invocation = parseArguments(words);
  assert.equal(invocation.kind, "usage", JSON.stringify(invocation));
  return (invocation as { message: string }).message;
}

function run(...words: string[]) {
  const invocation = parseArguments(words);
  assert.ok(invocation.kind === "run", JSON.stringify(invocation));
  return invocation;
}

describe("parseArguments()", () => {
  it("finds every command of the table", () => {
    for (const command of commands) {
      const operands = Array.from({ length: command.operands.min }, () => "x");
      assert.equal(run(...command.name.split(" "), ...operands).command, command);
    }
  });
  it("takes settings as two words or one, before and behind the command", () => {
    const { settings, configFile } = run(
      "--port",
      "1",
      "daemon",
      "--cache-dir=/x",
      "--config",
      "f",
    );
    assert.deepEqual(settings, { port: "1", "cache-dir": "/x" });
    assert.equal(configFile, "f");
    assert.deepEqual(run("daemon", "--allow=").settings, { allow: "" });
  });
  it("gives operands and flags", () => {
    const { operands, flags } = run("cache", "import", "--json", "a", "--", "-b");
    assert.deepEqual(operands, ["a", "-b"]);
    assert.deepEqual([...flags], ["json"]);
  });
  it("knows help of the program and of a command, also of an incomplete one", () => {
    assert.deepEqual(parseArguments(["--help"]), { kind: "help", command: undefined });
    const help = parseArguments(["why", "-h"]);
    assert.ok(help.kind === "help" && help.command?.name === "why");
    assert.deepEqual(parseArguments(["-V"]), { kind: "version" });
  });
  it("says what is wrong with a command", () => {
    assert.match(usage(), /a command is missing/);
    assert.match(usage("statsu"), /no command statsu; did you mean status\?/);
    assert.match(
      usage("frobnicate"),
      /commands are daemon, status, why, doctor, enable, disable, get, share, lookup, dht, cache, config$/,
    );
    assert.match(usage("cache"), /cache needs one of: list, stats, verify, clean, import/);
    assert.match(usage("cache", "lst"), /did you mean cache list\?/);
    assert.match(usage("why"), /something is missing; use: apt-p2p why \[--json\] URL/);
    assert.match(usage("status", "x"), /"x" is too much; use: apt-p2p status/);
  });
  it("says what is wrong with an option", () => {
    assert.match(usage("daemon", "--prot", "1"), /no option --prot; did you mean --port\?/);
    assert.match(usage("daemon", "-x"), /no option -x; see apt-p2p --help/);
    assert.match(usage("daemon", "--constructor"), /no option --constructor/);
    assert.match(usage("daemon", "--port"), /--port needs a value: a whole number/);
    assert.match(usage("daemon", "--port", "--bind", "::1"), /--port needs a value/);
    assert.match(usage("daemon", "--config"), /--config needs a value: a file/);
    assert.match(usage("status", "--json=yes"), /--json takes no value/);
    assert.match(usage("daemon", "--port", "1", "--port", "2"), /--port is given twice/);
    assert.match(usage("daemon", "--json"), /daemon has no option --json/);
    assert.match(usage("cache", "clean", "--all", "x"), /exclude one another/);
  });
});
