/** Texts that no file of the repository may contain: notes to self, and traces of one machine. */
import { posix } from "node:path";
import type { Tree } from "../tree.ts";

/** Put together here, so that this file does not contain them. */
const notes = new RegExp(
  `\\b(?:${["TO", "FIX", "XX"].map((word, i) => word + ["DO", "ME", "X"][i]!).join("|")})\\b`,
);

/** Notes of unfinished work: it is finished or it is not there. */
export function unfinishedWork(files: Tree): string[] {
  return linesWith(files, notes);
}

/** Hosts that documents and tests use as examples, on whatever machine. */
const exampleHosts = ["ftp.us.debian.org", "localhost"];

/**
 * Names of hosts in apt's or npm's configuration of this machine: its mirrors and registries. Only
 * names with a dot that stand in a URL; addresses mean nothing elsewhere.
 */
export function hostsOf(configurations: readonly string[]): string[] {
  const hosts = configurations.flatMap((text) =>
    [...text.matchAll(/\b[a-z+]+:\/\/(?:[^\s/@"']*@)?([a-z0-9.-]+\.[a-z]{2,})\b/gi)].map((match) =>
      (match[1] ?? "").toLowerCase(),
    ),
  );
  return [...new Set(hosts)].filter((host) => !exampleHosts.includes(host));
}

export function namedHosts(files: Tree, hosts: readonly string[]): string[] {
  return hosts.flatMap((host) =>
    linesWith(files, new RegExp(`(?<![\\w.-])${escaped(host)}(?![\\w-]|\\.\\w)`, "i")),
  );
}

/** Directories in which many machines keep things; they say nothing about one of them. */
const commonDirectories = [
  "/",
  "/home",
  "/tmp",
  "/opt",
  "/srv",
  "/var",
  "/usr",
  "/usr/src",
  "/build",
  "/builds",
  "/mnt",
  "/media",
];

/** The directories by which a file would betray where it was written. */
export function privateDirectories(checkout: string, home: string): string[] {
  return [checkout, posix.dirname(checkout), home].filter(
    (directory) => directory.startsWith("/") && !commonDirectories.includes(directory),
  );
}

export function namedDirectories(files: Tree, directories: readonly string[]): string[] {
  return [...new Set(directories)].flatMap((directory) =>
    linesWith(files, new RegExp(`(?<![\\w.~-])${escaped(directory)}(?:/|(?![\\w.-]))`)),
  );
}

function linesWith(files: Tree, pattern: RegExp): string[] {
  return [...files].flatMap(([path, text]) =>
    text
      .split("\n")
      .flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 100)}`] : [],
      ),
  );
}

function escaped(text: string): string {
  return text.replace(/[^\w/]/g, "\\$&");
}
