/**
 * `get` and `share`: any file, by its digest.
 *
 * A file on its way is `NAME.part`; it gets its name when all of it has the digest. What an earlier
 * run left is kept, and proven together with the rest.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, stat, type FileHandle } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { AptP2pError, errorText } from "../base/errors.ts";
import { parseSha256 } from "../base/sha256.ts";
import { parseSeedUntil, seedUntilForms } from "../base/seed-until.ts";
import { minute } from "../base/units.ts";
import { show, work } from "./cache-commands.ts";
import { exitCodes } from "./exit-codes.ts";
import { number, record, text } from "./facts.ts";
import { Progress } from "./progress.ts";
import type { Query } from "./queries.ts";
import { bytesText, visible } from "./text.ts";

/** The daemon looks for peers for half a minute before it gives up, and a lonely one may be slow. */
const filePatienceMs = 2 * minute;
/** A wrong beginning is dropped, and so is what a liar made wrong; a third time it is not by chance. */
const mostTries = 3;

export async function getFile(query: Query): Promise<number> {
  checkUntil(query);
  const [what = ""] = query.operands;
  const wanted = wantedFile(what, query.values.get("sha256"));
  const output = query.values.get("output") ?? nameFor(wanted);
  const got = output === "-" ? await toPipe(query, wanted) : await toFile(query, wanted, output);
  await seed(query, got);
  return exitCodes.ok.code;
}

export async function shareFiles(query: Query): Promise<number> {
  checkUntil(query);
  const { operands, world } = query;
  const shared: string[] = [];
  for (const operand of operands) {
    const path = resolve(world.workingDirectory, operand);
    const target = `/share?${new URLSearchParams({ path }).toString()}`;
    const facts = record(await work(query, `Reading ${basename(path)}`, [target]));
    const sha256 = text(facts["sha256"]) ?? "";
    shared.push(sha256);
    const size = bytesText(number(facts["sizeBytes"]) ?? 0);
    world.out.write(`${visible(`${operand}, ${size}, is shared. Others get it by`)}\n`);
    world.out.write(`${visible(`  apt-p2p get sha256:${sha256} -o ${basename(path)}`)}\n`);
  }
  await Promise.all(shared.map((sha256) => seed(query, sha256)));
  return exitCodes.ok.code;
}

interface Wanted {
  readonly url: string | undefined;
  readonly sha256: string | undefined;
}

function wantedFile(what: string, given: string | undefined): Wanted {
  const digest = given === undefined ? undefined : parseSha256(given);
  if (given !== undefined && digest === undefined) {
    throw new AptP2pError("USAGE", `no SHA-256: ${given}; it has 64 hexadecimal digits`);
  }
  const named = /^sha256:(.*)$/i.exec(what)?.[1];
  if (named === undefined) return { url: what, sha256: digest };
  const sha256 = parseSha256(named);
  if (sha256 === undefined) {
    throw new AptP2pError("USAGE", `no SHA-256: ${named}; it has 64 hexadecimal digits`);
  }
  if (digest !== undefined && digest !== sha256) {
    throw new AptP2pError("USAGE", "sha256:HEX and --sha256 name two different files");
  }
  return { url: undefined, sha256 };
}

/** The last part of the URL's path; of a digest the digest. */
function nameFor({ url, sha256 }: Wanted): string {
  const path = url?.replace(/[?#].*$/, "").replace(/^https?:\/\//i, "");
  const name = path === undefined ? (sha256 ?? "") : plain(/\/([^/]+)$/.exec(path)?.[1] ?? "");
  if (name === "" || name === "." || name === ".." || name.includes("/")) {
    throw new AptP2pError("USAGE", "the URL names no file; say with --output where it shall go");
  }
  return name;
}

function plain(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

function question({ url, sha256 }: Wanted, start: number): string {
  const parameters = new URLSearchParams({ start: `${start}` });
  if (url !== undefined) parameters.set("url", url);
  if (sha256 !== undefined) parameters.set("sha256", sha256);
  return `/get?${parameters.toString()}`;
}

/** In order, as it comes → its digest. */
async function toPipe(query: Query, wanted: Wanted): Promise<string> {
  const hash = createHash("sha256");
  const sha256 = await receive(query, question(wanted, 0), 0, async (chunk) => {
    hash.update(chunk);
    await query.world.out.writeBytes(chunk);
  });
  if (hash.digest("hex") !== sha256) {
    throw new AptP2pError("MISMATCH", "what was written is not the file");
  }
  return sha256;
}

async function toFile(query: Query, wanted: Wanted, output: string): Promise<string> {
  const { world } = query;
  const path = resolve(world.workingDirectory, output);
  const part = `${path}.part`;
  for (let tries = 1; ; tries++) {
    const file = await openPart(part);
    try {
      const sha256 = await fill(query, wanted, file);
      await file.handle.sync();
      await rename(part, path);
      world.out.write(`${visible(`${output}, sha256:${sha256}`)}\n`);
      return sha256;
    } catch (thrown) {
      if (!(thrown instanceof AptP2pError)) {
        throw new AptP2pError("STORAGE", `cannot write ${output}: ${errorText(thrown)}`);
      }
      // The beginning that is here, of an earlier run or of this one, may be of another file.
      const wrong = thrown.code === "MISMATCH";
      if (wrong) await file.handle.truncate(0);
      if (!wrong || tries === mostTries) throw thrown;
    } finally {
      await file.handle.close();
    }
  }
}

interface Part {
  readonly handle: FileHandle;
  readonly sizeBytes: number;
  readonly hash: Hash;
}

async function openPart(path: string): Promise<Part> {
  const hash = createHash("sha256");
  try {
    const handle = await open(path, "a");
    const { size } = await stat(path);
    if (size > 0) for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    return { handle, sizeBytes: size, hash };
  } catch (thrown) {
    throw new AptP2pError("STORAGE", `cannot write ${path}: ${errorText(thrown)}`);
  }
}

/** → the digest. Rejects MISMATCH if what is here now is not the file. */
async function fill(query: Query, wanted: Wanted, part: Part): Promise<string> {
  const { handle, sizeBytes, hash } = part;
  const sha256 = await receive(query, question(wanted, sizeBytes), sizeBytes, async (chunk) => {
    hash.update(chunk);
    await handle.appendFile(chunk);
  });
  if (hash.digest("hex") !== sha256) {
    throw new AptP2pError("MISMATCH", "what has come is not the file; nothing was kept of it");
  }
  return sha256;
}

/** All bytes from `start` on, one chunk after the other → the digest that they should have. */
async function receive(
  { control, world }: Query,
  target: string,
  start: number,
  take: (chunk: Buffer) => Promise<void>,
): Promise<string> {
  const { facts, body } = await control.file({ method: "GET", target, patienceMs: filePatienceMs });
  const progress = new Progress("Getting", world);
  const totalBytes = Number(facts["apt-p2p-size"] ?? "0");
  let bytes = start;
  try {
    for await (const chunk of body) {
      await take(chunk);
      bytes += chunk.length;
      progress.show({ bytes, totalBytes });
    }
  } finally {
    progress.clear();
  }
  return facts["apt-p2p-sha256"] ?? "";
}

/** Before anything is done: nobody shall learn of it after an hour. */
function checkUntil({ values }: Query): void {
  const until = values.get("seed-until");
  if (until === undefined || parseSeedUntil(until) !== undefined) return;
  throw new AptP2pError("USAGE", `no condition: ${until}; use ${seedUntilForms}`);
}

/** Stays in the swarm as long as `--seed-until` says, and leaves it then. */
async function seed(query: Query, sha256: string): Promise<void> {
  const until = query.values.get("seed-until");
  if (until === undefined) return;
  const target = `/seed?${new URLSearchParams({ sha256, until }).toString()}`;
  show(query, seededView, await work(query, "Sharing", [target]));
}

function seededView(result: unknown): string {
  const facts = record(result);
  const bytes = bytesText(number(facts["uploadedBytes"]) ?? 0);
  return `${bytes} went to others; it is not offered by hand any more\n`;
}
