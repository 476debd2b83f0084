/** The repository as a map from path to text: what the tidy checks look at, or a planted one. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export type Tree = ReadonlyMap<string, string>;

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Larger files are data, and no checker's business. */
const largestBytes = 2 ** 21;

let tree: Tree | undefined;

/** All files that are tracked or could be; read once. */
export function repository(): Tree {
  tree ??= new Map(
    paths()
      .sort()
      .flatMap((path) => {
        const facts = statSync(join(root, path), { throwIfNoEntry: false });
        if (facts?.isFile() !== true || facts.size > largestBytes) return [];
        return [[path, readFileSync(join(root, path), "utf8")] as const];
      }),
  );
  return tree;
}

/** The files of a tree below a directory and with an ending. */
export function below(files: Tree, directory: string, ending = ""): [path: string, text: string][] {
  return [...files].filter(([path]) => path.startsWith(directory) && path.endsWith(ending));
}

export function planted(files: Readonly<Record<string, string>>): Tree {
  return new Map(Object.entries(files));
}

function paths(): string[] {
  const words: string[] = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  try {
    const list = execFileSync("git", words, {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return [...new Set(list.split("\0").filter((path) => path !== ""))];
  } catch {
    // An unpacked archive without git.
    return walk("");
  }
}

function walk(directory: string): string[] {
  const skipped = [".git", "node_modules", "dist", ".cache"];
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (skipped.includes(entry.name)) return [];
    return entry.isDirectory() ? walk(path) : [path];
  });
}
