import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { commands } from "../../../src/cli/commands.ts";
import { exitCodeOf, exitCodes } from "../../../src/cli/exit-codes.ts";
import { commandHelp, programHelp } from "../../../src/cli/help.ts";
import { optionRows } from "../../../src/config/options.ts";

describe("programHelp()", () => {
  const help = programHelp();
  it("has every command, every option with its default and every exit status", () => {
    for (const { name, summary } of commands) {
      assert.match(help, new RegExp(`^  ${name}\\b.*  ${summary}$`, "m"));
    }
    for (const { flag, option } of optionRows) {
      const line = help.split("\n").find((each) => each.startsWith(`  --${flag} `));
      assert.ok(line?.includes(option.help), flag);
    }
    for (const { code, text } of Object.values(exitCodes))
      assert.ok(help.includes(`  ${code}  ${text}\n`));
    assert.match(help, /--port NUMBER +TCP port .* \(9977\)$/m);
  });
});

describe("commandHelp()", () => {
  it("shows synopsis, text and flags of the command", () => {
    for (const command of commands) {
      const help = commandHelp(command);
      assert.ok(help.startsWith(`Usage: apt-p2p ${command.name}`));
      for (const flag of command.flags) assert.ok(help.includes(`--${flag.name} `), flag.name);
      assert.ok(help.includes("--config FILE"));
      assert.equal(help.includes("--port"), /^(daemon|config)/.test(command.name), command.name);
    }
  });
});

describe("exitCodeOf()", () => {
  it("maps what an administrator can act on, and the rest to failure", () => {
    const cases = {
      CONFIG: 3,
      USAGE: 2,
      NO_DAEMON: 4,
      IN_USE: 5,
      STORAGE: 6,
      NO_SPACE: 6,
      NEWER: 8,
      UPSTREAM: 7,
    };
    for (const [code, status] of Object.entries(cases))
      assert.equal(exitCodeOf(code), status, code);
    for (const code of [undefined, "constructor", "ENOENT", 3]) assert.equal(exitCodeOf(code), 7);
  });
  it("has a table without gaps", () => {
    assert.deepEqual(
      Object.values(exitCodes).map(({ code }) => code),
      [0, 1, 2, 3, 4, 5, 6, 7, 8],
    );
  });
});
