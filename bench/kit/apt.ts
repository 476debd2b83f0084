/** Real apt for the bench: the test kit's private roots, and what the measures ask of them. */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { AptRoot } from "../../test/kit/apt-root.ts";

export interface AptOptions {
  /** URL of the proxy; undefined: none. */
  readonly proxy?: string | undefined;
}

const timeoutMs = 300_000;

/** Runs apt-get → wall-clock seconds. Rejects unless it ended well and without a warning. */
export async function aptSeconds(
  root: AptRoot,
  args: readonly string[],
  { proxy = "DIRECT" }: AptOptions = {},
): Promise<number> {
  const options = ["-o", `Acquire::http::Proxy=${proxy}`];
  const { code, output, milliseconds } = await root.run([...options, ...args], { timeoutMs });
  if (code !== 0 || /^[EW]: /m.test(output)) {
    const command = `apt-get ${args.join(" ").slice(0, 100)}`;
    throw new Error(`${command}: exit ${String(code)}\n${output.slice(-3000)}`);
  }
  return milliseconds / 1000;
}

/** Forgets all downloaded packages. */
export function emptyArchives(root: AptRoot): void {
  makeEmpty(root.archivesDirectory);
}

/** Forgets all downloaded indexes. */
export function emptyLists(root: AptRoot): void {
  makeEmpty(root.listsDirectory);
}

/** Number of packages that lie in the root's archives. */
export function downloadedPackages(root: AptRoot): number {
  return readdirSync(root.archivesDirectory).filter((name) => name.endsWith(".deb")).length;
}

/** Debian's own layout: what is under way lies in `partial`. */
function makeEmpty(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(join(directory, "partial"), { recursive: true });
}
