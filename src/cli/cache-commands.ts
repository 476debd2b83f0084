/** `cache …`: commands about the store, most of them long work with progress. */
import { resolve } from "node:path";
import { AptP2pError } from "../base/errors.ts";
import { minute } from "../base/units.ts";
import {
  cleanedView,
  fileView,
  hasDamage,
  hasFailures,
  importedView,
  statsView,
  verifiedView,
} from "./cache-view.ts";
import { remoteError } from "./control.ts";
import { exitCodes } from "./exit-codes.ts";
import { record } from "./facts.ts";
import { Progress } from "./progress.ts";
import { jsonText, patienceMs } from "./queries.ts";
import type { Query } from "./queries.ts";

/** The daemon reports progress at least after each file; hashing the largest takes a minute or two. */
const workPatienceMs = 10 * minute;

/** Node refuses requests with more than 16 KiB of head; half of it leaves room for headers. */
const targetBytes = 8192;

export async function cacheList({ control, flags, world }: Query): Promise<number> {
  const question = { method: "GET", target: "/cache/list", patienceMs } as const;
  for await (const file of control.lines(question)) {
    const { error } = record(file);
    if (error !== undefined) throw remoteError(error);
    world.out.write(
      flags.has("json") ? `${JSON.stringify(file)}\n` : fileView(file, world.wallMs()),
    );
  }
  return exitCodes.ok.code;
}

export async function cacheStats({ control, flags, world }: Query): Promise<number> {
  const stats = await control.ask({ method: "GET", target: "/cache/stats", patienceMs });
  world.out.write(flags.has("json") ? jsonText(stats) : statsView(stats));
  return exitCodes.ok.code;
}

export async function cacheVerify(query: Query): Promise<number> {
  const result = await work(query, "Verifying", ["/cache/verify"]);
  show(query, verifiedView, result);
  return hasDamage(result) ? exitCodes.found.code : exitCodes.ok.code;
}

export async function cacheClean(query: Query): Promise<number> {
  const name = query.operands[0];
  const what =
    name === undefined ? { what: query.flags.has("all") ? "all" : "unlisted" } : { name };
  const target = `/cache/clean?${new URLSearchParams(what).toString()}`;
  show(query, cleanedView, await work(query, "Cleaning", [target]));
  return exitCodes.ok.code;
}

export async function cacheImport(query: Query): Promise<number> {
  const paths = query.operands.map((path) => resolve(query.world.workingDirectory, path));
  const result = await work(query, "Importing", importTargets(paths));
  show(query, importedView, result);
  return hasFailures(result) ? exitCodes.found.code : exitCodes.ok.code;
}

/** As many requests as it takes: a shell's `*.deb` may name thousands of files. */
export function importTargets(paths: readonly string[]): string[] {
  const targets: string[] = [];
  for (const path of paths) {
    const parameter = new URLSearchParams({ path }).toString();
    const last = targets.at(-1);
    if (last !== undefined && last.length + 1 + parameter.length <= targetBytes) {
      targets[targets.length - 1] = `${last}&${parameter}`;
    } else {
      targets.push(`/cache/import?${parameter}`);
    }
  }
  return targets;
}

/** Has work done request by request, with its progress on the terminal → the results as one. */
export async function work(
  { control, world }: Query,
  title: string,
  targets: readonly string[],
): Promise<unknown> {
  const progress = new Progress(title, world);
  let sum: unknown;
  try {
    for (const target of targets) {
      let result: unknown;
      const question = { method: "POST", target, patienceMs: workPatienceMs } as const;
      for await (const line of control.lines(question)) {
        const facts = record(line);
        if (facts["error"] !== undefined) throw remoteError(facts["error"]);
        if (facts["progress"] !== undefined) progress.show(facts["progress"]);
        result ??= facts["result"];
      }
      if (result === undefined) {
        throw new AptP2pError("NO_DAEMON", "the daemon ended before the work did; run it again");
      }
      sum = sum === undefined ? result : added(sum, result);
    }
  } finally {
    progress.clear();
  }
  return sum;
}

/** Field by field: numbers are added, lists joined, of the rest the later counts. */
function added(a: unknown, b: unknown): unknown {
  if (typeof a === "number" && typeof b === "number") return a + b;
  if (Array.isArray(a) && Array.isArray(b)) return [...(a as unknown[]), ...(b as unknown[])];
  const [left, right] = [record(a), record(b)];
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  if (names.size === 0) return b ?? a;
  return Object.fromEntries([...names].map((name) => [name, added(left[name], right[name])]));
}

export function show(
  { flags, world }: Query,
  view: (result: unknown) => string,
  result: unknown,
): void {
  world.out.write(flags.has("json") ? jsonText(result) : view(result));
}
