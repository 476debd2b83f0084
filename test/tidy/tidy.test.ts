/**
 * The rules of the house that a program can check, on the repository as it is. Each checker is
 * itself checked against a planted violation in `checkers.test.ts`.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, it } from "mocha";
import { papers } from "../../.ci/papers.ts";
import { optionRows } from "../../src/config/options.ts";
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
import { repository, root } from "./tree.ts";

describe("the repository", function () {
  this.timeout(60_000);
  const files = repository();
  const none = (violations: readonly string[]): void =>
    assert.deepEqual(violations, [], `\n${violations.join("\n")}\n`);

  it("keeps to the import table", () => none(wrongImports(files, importTable)));
  it("has no files that import one another", () => none(cycles(files)));
  it("has no file that nothing uses", () => none(deadFiles(files)));
  it("imports declared packages only", () => none(undeclaredPackages(files)));
  it("has no source file of more than 500 lines", () => none(longFiles(files)));
  it("says of every source file what it is", () => none(headless(files)));
  it("has no notes of unfinished work", () => none(unfinishedWork(files)));
  it("names no mirror and no registry of this machine", function () {
    const configurations = machineConfigurations();
    if (configurations.length === 0) this.skip();
    none(namedHosts(files, hostsOf(configurations)));
  });
  it("names no directory of this machine", () => {
    none(namedDirectories(files, privateDirectories(root, homedir())));
  });
  it("has the papers that its tables give", () => none(stalePapers(files, papers())));
  it("has manual pages that man sets without a warning", function () {
    try {
      execFileSync("groff", ["--version"], { stdio: "ignore" });
    } catch {
      this.skip();
    }
    for (const [path, text] of papers()) {
      if (!path.startsWith("man/")) continue;
      const words = ["-man", "-t", "-ww", "-z", "-Tutf8", "-Kutf8"];
      assert.equal(run("groff", words, text), "", path);
    }
  });
  it("has no option that nothing reads", () => none(unreadOptions(files, optionRows)));
  it("obeys SIGHUP if any option promises it", () => {
    const promised = optionRows.some((row) => row.option.reloadable === true);
    const obeyed = [...files].some(
      ([path, text]) => path.startsWith("src/daemon/") && text.includes('"SIGHUP"'),
    );
    assert.equal(obeyed, promised);
  });
  it("has no limit that nothing obeys", () => none(unusedLimits(files)));
  it("has no broken link", () => none(brokenLinks(files)));
  it("documents scripts that exist", () => none(missingScripts(files)));
  it("documents counters that exist", () => none(unknownCounters(files)));
  it("has a change log in order", () => none(wrongChangelog(files)));
  it("has one version", () => none(wrongVersion(files)));
});

/** Standard error of a program that gets a text. */
function run(program: string, words: readonly string[], input: string): string {
  const script = '"$0" "$@" 2>&1 >/dev/null';
  return execFileSync("sh", ["-c", script, program, ...words], { input, encoding: "utf8" });
}

/** The texts in which this machine names its mirrors and registries, as far as they can be read. */
function machineConfigurations(): string[] {
  const read = (path: string): string[] => {
    try {
      return [readFileSync(path, "utf8")];
    } catch {
      return [];
    }
  };
  const list = (directory: string): string[] => {
    try {
      return readdirSync(directory).map((name) => join(directory, name));
    } catch {
      return [];
    }
  };
  const npmrc = process.env["NPM_CONFIG_USERCONFIG"] ?? join(homedir(), ".npmrc");
  const paths = [
    ...["/etc/apt/sources.list", "/etc/apt/apt.conf", "/etc/npmrc", npmrc],
    ...list("/etc/apt/sources.list.d"),
    ...list("/etc/apt/apt.conf.d"),
  ];
  const variables = Object.entries(process.env).flatMap(([name, value]) =>
    /^npm_config_registry$|proxy$/i.test(name) ? [value ?? ""] : [],
  );
  return [...paths.flatMap(read).map(withoutComments), ...variables];
}

/** A commented source is nobody's mirror, and links to documentation are none either. */
function withoutComments(text: string): string {
  return text.replace(/^\s*(?:#|\/\/).*$/gm, "");
}
