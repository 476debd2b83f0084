/**
 * The version of what the database holds, so that an upgrade keeps it and a downgrade does not spoil
 * it.
 *
 * - `meta!schema` is a number. A database with records and without it is of version 1 (apt-p2p 0.1.0).
 * - Older: the missing migrations run in order, each in one batch together with its version, so that
 *   a crash leaves the state before or after a migration, never between.
 * - Newer: nothing is written, and the daemon does not start.
 * - A migration may find its own work: a repair of the database can lose the version.
 */
import { AptP2pError } from "../base/errors.ts";
import type { Log } from "../base/ports.ts";
import type { KeyValue, KeyValueChange } from "../base/storage.ts";

/** What leads from one version to the next: the changes, given what is there. */
export interface Migration {
  /** For the log: what it changes. */
  readonly what: string;
  readonly changes: (kv: Pick<KeyValue, "get" | "range">) => AsyncIterable<KeyValueChange>;
}

/** The first one leads from version 1 to 2. Never changed once released, only added to. */
export const migrations: readonly Migration[] = [];

export interface SchemaParts {
  readonly kv: KeyValue;
  readonly log: Log;
  /** Of this program. */
  readonly program: string;
  /** For messages: what would have to go. */
  readonly stateDirectory: string;
  readonly migrations?: readonly Migration[];
}

const firstVersion = 1;
/** Present in every database that was opened once. */
export const versionKey = "meta!schema";
/** Which apt-p2p wrote to it last: what a refused downgrade asks for. */
const programKey = "meta!program";

/**
 * Brings the database to this program's version → that version. Rejects with AptP2pError NEWER when
 * it is of a later one, STORAGE when its version cannot be read or a change not be written.
 */
export async function bringUpToDate(parts: SchemaParts): Promise<number> {
  const { kv, log, program, migrations: steps = migrations } = parts;
  const current = firstVersion + steps.length;
  const found = await versionOf(parts, current);
  if (found > current) throw tooNew(parts, found, current);
  for (const [index, { what, changes }] of steps.entries()) {
    const version = firstVersion + index + 1;
    if (version <= found) continue;
    const batch: KeyValueChange[] = [];
    for await (const change of changes(kv)) batch.push(change);
    await kv.batch([...batch, { key: versionKey, value: String(version) }], { sync: true });
    log.info("database-migrated", { version, what, changes: batch.length });
  }
  const marks = { [versionKey]: String(current), [programKey]: JSON.stringify(program) };
  const stale = Object.entries(marks).filter(([key, value]) => kv.get(key) !== value);
  if (stale.length > 0) {
    await kv.batch(
      stale.map(([key, value]) => ({ key, value })),
      { sync: true },
    );
  }
  return current;
}

async function versionOf({ kv, stateDirectory }: SchemaParts, current: number): Promise<number> {
  const text = kv.get(versionKey);
  if (text === undefined) return (await isEmpty(kv)) ? current : firstVersion;
  const version = /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
  if (version !== undefined) return version;
  throw new AptP2pError(
    "STORAGE",
    `the version of the database in ${stateDirectory} is ${JSON.stringify(text.slice(0, 40))}, ` +
      `which is no version; remove ${stateDirectory} to start anew (stored files are taken in again)`,
  );
}

async function isEmpty(kv: KeyValue): Promise<boolean> {
  for await (const [key] of kv.range("")) if (key !== programKey) return false;
  return true;
}

function tooNew({ kv, program, stateDirectory }: SchemaParts, found: number, known: number): Error {
  const writer = writerOf(kv.get(programKey));
  const by = writer === undefined ? "a newer apt-p2p" : `apt-p2p ${writer}`;
  return new AptP2pError(
    "NEWER",
    `the database in ${stateDirectory} was written by ${by} and has version ${found}; ` +
      `this is apt-p2p ${program}, which knows versions up to ${known}. Nothing was changed. ` +
      `Install ${writer === undefined ? "the newer apt-p2p" : by} again, or remove ` +
      `${stateDirectory} to start anew (node id and what is known of peers are lost; stored files ` +
      `are taken in again)`,
  );
}

/** It goes into a message: a version and nothing else. */
function writerOf(text: string | undefined): string | undefined {
  return /^"([\w.+~:-]{1,40})"$/.exec(text ?? "")?.[1];
}
