/**
 * Works on a store as hard as it can until it is killed: several downloads at once, readers,
 * removals. Every fact that must survive is written to standard output, synchronously, right after
 * it became true. Waits for a line on standard input before it touches the store.
 */
import { readSync, writeSync } from "node:fs";
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { content, contentCount } from "./contents.ts";
import { openStore } from "./open-store.ts";

const [cacheDirectory = "", databaseDirectory = "", seed = "1"] = process.argv.slice(2);
const random = new SeededRandom(Number(seed));
const busy = new Set<number>();

function tell(fact: string): void {
  writeSync(1, `${fact}\n`);
}

tell("loaded");
readSync(0, Buffer.alloc(1));
const { store } = await openStore({ cacheDirectory, databaseDirectory });
tell("ready");

async function receive(index: number): Promise<void> {
  const { bytes, sha } = content(index);
  const file = await store.begin(sha, random.chance(0.9) ? bytes.length : undefined);
  while (file.heldBytes < bytes.length) {
    const count = 1 + random.below(64 * 1024);
    file.append(bytes.subarray(file.heldBytes, file.heldBytes + count));
    const dice = random.next();
    if (dice < 0.2) await file.drained();
    else if (dice < 0.4) {
      await file.flushed();
      tell(`written ${sha} ${file.writtenBytes}`);
      if (random.chance(0.05)) return file.suspend();
    }
  }
  file.commit([sha], { scope: "public", origin: "mirror", name: `ftp.us.debian.org/c/${index}` });
  await file.release();
  if (store.find(sha) === undefined) throw new Error("a commit was not recorded");
  tell(`stored ${sha}`);
}

async function read(index: number): Promise<void> {
  const { bytes, sha } = content(index);
  const opened = await store.open(sha);
  if (opened === undefined) return;
  const into = Buffer.alloc(bytes.length);
  const count = await opened.handle.read(into, 0);
  await opened.handle.close();
  if (count !== bytes.length || !into.equals(bytes)) tell(`wrong ${sha}`);
}

async function work(): Promise<never> {
  for (;;) {
    const index = random.below(contentCount);
    if (busy.has(index)) {
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    busy.add(index);
    const { sha } = content(index);
    if (store.find(sha) === undefined) await receive(index);
    else if (random.chance(0.3)) {
      tell(`removing ${sha}`);
      await store.clean({ sha }, () => undefined);
    } else await read(index);
    busy.delete(index);
  }
}

await Promise.all(Array.from({ length: 8 }, work));
