/** The completion in a real bash: what it offers for a line that has been typed so far. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "mocha";
import { bashCompletion } from "../../.ci/completion.ts";
import { commands, commonFlags } from "../../src/cli/commands.ts";
import { optionRows } from "../../src/config/options.ts";
import { scratchDirectory } from "../kit/scratch.ts";

const script = `source <(cat) || exit
complete -p apt-p2p >/dev/null || exit
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_apt_p2p apt-p2p "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "\${COMPREPLY[@]}"`;

/** Words as readline cuts the line; the last one is being typed. */
function offered(words: readonly string[], directory?: string): string[] {
  const text = execFileSync("bash", ["--norc", "-uc", script, "bash", "apt-p2p", ...words], {
    input: bashCompletion(),
    encoding: "utf8",
    cwd: directory,
    stdio: ["pipe", "pipe", "inherit"],
  });
  return text.split("\n").filter((line) => line !== "");
}

describe("bash completion", function () {
  this.timeout(30_000);

  it("offers every command, and the second words of groups", () => {
    const firsts = new Set(commands.map(({ name }) => name.split(" ")[0] ?? ""));
    assert.deepEqual(offered([""]), [...firsts]);
    assert.deepEqual(offered(["sta"]), ["status"]);
    assert.deepEqual(offered(["sh"]), ["share"]);
    assert.deepEqual(offered(["config", ""]), ["check", "show"]);
    assert.deepEqual(offered(["cache", "cl"]), ["clean"]);
    assert.deepEqual(offered(["--config", "x", "cache", "l"]), ["list"]);
    assert.deepEqual(offered(["--share", "=", "none", "cache", "l"]), ["list"]);
    assert.deepEqual(offered(["nonsense", ""]), []);
  });

  it("offers each command its own options and those of all", () => {
    const common = commonFlags.map(({ name }) => `--${name}`);
    for (const { name, flags } of commands) {
      const own = flags.map((flag) => `--${flag.name}`);
      const given = new Set(offered([...name.split(" "), "--"]));
      for (const option of [...own, ...common]) assert.ok(given.has(option), `${name} ${option}`);
      const settings = optionRows.filter(({ flag }) => given.has(`--${flag}`)).length;
      const all = name === "daemon" || name.startsWith("config ");
      assert.equal(settings, all ? optionRows.length : 1, name);
      const foreign = commands.flatMap((each) => each.flags.map((flag) => `--${flag.name}`));
      const wrong = foreign.filter((option) => given.has(option) && !own.includes(option));
      assert.deepEqual(wrong, [], name);
    }
    assert.deepEqual(offered(["get", "-"]).includes("-o"), true);
    assert.deepEqual(offered(["daemon", "--dht"]), ["--dht-only"]);
  });

  it("offers the words that an option takes, behind a blank and an equals sign", () => {
    assert.deepEqual(offered(["daemon", "--share", ""]), ["all", "fresh", "none"]);
    assert.deepEqual(offered(["daemon", "--share", "f"]), ["fresh"]);
    assert.deepEqual(offered(["daemon", "--share", "="]), ["all", "fresh", "none"]);
    assert.deepEqual(offered(["daemon", "--share", "=", "n"]), ["none"]);
    assert.deepEqual(offered(["--level", "d"]), ["debug"]);
    assert.deepEqual(offered(["daemon", "--serve-stale", ""]), ["yes", "no"]);
    assert.deepEqual(offered(["daemon", "--quota", ""]), ["auto"]);
    assert.deepEqual(offered(["get", "--seed-until", ""]), ["idle"]);
    assert.deepEqual(offered(["daemon", "--port", ""]), []);
    // The value of an option is no command.
    assert.deepEqual(offered(["get", "--sha256", "status", "--j"]), []);
  });

  it("offers files where files are meant, also with blanks in their names", () => {
    const { path: directory, remove } = scratchDirectory("completion");
    try {
      writeFileSync(join(directory, "an image"), "");
      writeFileSync(join(directory, "another.deb"), "");
      mkdirSync(join(directory, "any"));
      const all = ["an image", "another.deb", "any"];
      for (const words of [
        ["share", "an"],
        ["cache", "import", "an"],
        ["get", "-o", "an"],
        ["get", "--output", "=", "an"],
        ["--config", "an"],
      ]) {
        assert.deepEqual(offered(words, directory).sort(), all, words.join(" "));
      }
      assert.deepEqual(offered(["daemon", "--cache-dir", "an"], directory), ["any"]);
      assert.deepEqual(offered(["why", "an"], directory), []);
    } finally {
      remove();
    }
  });
});
