/**
 * What a publisher remembers over a restart: for each key the digest of its value and who holds it,
 * for each holder its id, its address and until when it is good. Values are supplied anew.
 *
 * Records are JSON arrays: `dht!publish4!key!<40 hex digits>` → [digest in base64url, holder, ...]
 * and `dht!publish4!node!<holder>` → [id in hex, endpoint, milliseconds of the wall clock]. Some 60
 * and 80 bytes each. What cannot be read is deleted: then keys are placed anew.
 */
import { parseEndpoint } from "../base/endpoint.ts";
import type { Family } from "../base/endpoint.ts";
import { idFromText, idText } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { NodeInfo } from "../krpc/message.ts";
import type { DhtRecords } from "./ports.ts";
import { publishLimits } from "./publish-limits.ts";
import { digestBytes } from "./value-digest.ts";

export interface HolderRecord {
  readonly index: number;
  readonly info: NodeInfo;
  /** When all that it has was last known to be good, by the wall clock. */
  readonly goodWallMs: number;
}

export interface KeyRecord {
  readonly key: NodeId;
  /** `entryDigest` of key and value. */
  readonly digest: Uint8Array;
  /** Holders that have confirmed this value. */
  readonly holders: readonly number[];
}

export class PublishRecords {
  readonly #records: DhtRecords;
  readonly #keys: string;
  readonly #nodes: string;

  constructor(records: DhtRecords, family: Family) {
    this.#records = records;
    this.#keys = `dht!publish${family}!key!`;
    this.#nodes = `dht!publish${family}!node!`;
  }

  *holders(): Iterable<HolderRecord> {
    for (const [name, text] of this.#records.initial(this.#nodes)) {
      const record = holderRecord(name.slice(this.#nodes.length), parsedArray(text));
      if (record === undefined) this.#records.put(name, undefined);
      else yield record;
    }
  }

  *keys(): Iterable<KeyRecord> {
    for (const [name, text] of this.#records.initial(this.#keys)) {
      const record = keyRecord(name.slice(this.#keys.length), parsedArray(text));
      if (record === undefined) this.#records.put(name, undefined);
      else yield record;
    }
  }

  putHolder({ index, info, goodWallMs }: HolderRecord): void {
    const record = [idText(info.id), info.endpoint.text, Math.round(goodWallMs)];
    this.#records.put(`${this.#nodes}${index}`, JSON.stringify(record));
  }

  removeHolder(index: number): void {
    this.#records.put(`${this.#nodes}${index}`, undefined);
  }

  putKey({ key, digest, holders }: KeyRecord): void {
    const record = [Buffer.from(digest).toString("base64url"), ...holders];
    this.#records.put(this.#keys + idText(key), JSON.stringify(record));
  }

  removeKey(key: NodeId): void {
    this.#records.put(this.#keys + idText(key), undefined);
  }
}

function parsedArray(text: string): readonly unknown[] {
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed : [];
  } catch {
    return [];
  }
}

function holderRecord(name: string, record: readonly unknown[]): HolderRecord | undefined {
  const [idHex, address, goodWallMs] = record;
  const id = typeof idHex === "string" ? idFromText(idHex) : undefined;
  const endpoint = typeof address === "string" ? parseEndpoint(address) : undefined;
  if (id === undefined || endpoint === undefined || typeof goodWallMs !== "number") {
    return undefined;
  }
  const index = /^[0-9]{1,5}$/.test(name) ? Number(name) : publishLimits.holders;
  return index < publishLimits.holders ? { index, info: { id, endpoint }, goodWallMs } : undefined;
}

function keyRecord(name: string, record: readonly unknown[]): KeyRecord | undefined {
  const key = idFromText(name);
  const [digestText, ...indices] = record;
  const digest =
    typeof digestText === "string" ? new Uint8Array(Buffer.from(digestText, "base64url")) : noBytes;
  if (key === undefined || digest.length !== digestBytes) return undefined;
  const holders = indices.filter((index) => typeof index === "number");
  return holders.length === indices.length ? { key, digest, holders } : undefined;
}

const noBytes = new Uint8Array(0);
