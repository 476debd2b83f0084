/**
 * Held values on disk, so that a restart loses nothing:
 *
 *     dht!value!<family>!<publisher>!<key, 40 hex digits>   [<expiry, wall s>,"<value, base64>"]
 *     dht!renewed!<family>!<publisher>                      <expiry, wall s>
 *
 * A renewal writes one record for all of a publisher's values: each lives until the later of its own
 * expiry and the renewed one. That is exact, since what is stored after a renewal lives longer anyway.
 */
import { dhtLimits } from "../base/dht-limits.ts";
import { parseEndpoint, type Endpoint, type Family } from "../base/endpoint.ts";
import { idFromText, idText, type NodeId } from "../base/node-id.ts";
import { second } from "../base/units.ts";
import { keyBytes, type Entry, type Publisher } from "./held-values.ts";
import type { DhtRecords } from "./ports.ts";

export interface StoredValue {
  readonly publisher: Endpoint;
  readonly key: NodeId;
  readonly value: Uint8Array;
  /** How long it still has, in milliseconds by the wall clock; at most a value's whole life. */
  readonly leftMs: number;
}

export class ValueRecords {
  readonly #records: DhtRecords | undefined;
  readonly #values: string;
  readonly #renewals: string;

  /** No records: nothing is to survive. */
  constructor(records: DhtRecords | undefined, family: Family) {
    this.#records = records;
    this.#values = `dht!value!${family}!`;
    this.#renewals = `dht!renewed!${family}!`;
  }

  /** What is still good, the one that lapses first in front; all else is deleted. */
  load(wallMs: number): StoredValue[] {
    const records = this.#records;
    if (records === undefined) return [];
    const renewed = new Map<string, number>();
    for (const [name, text] of records.initial(this.#renewals)) {
      renewed.set(name.slice(this.#renewals.length), /^\d{1,11}$/.test(text) ? Number(text) : 0);
    }
    const good: StoredValue[] = [];
    for (const [name, text] of records.initial(this.#values)) {
      const stored = parse(name.slice(this.#values.length), text, { renewed, wallMs });
      if (stored === undefined) records.put(name, undefined);
      else good.push(stored);
    }
    const publishers = new Set(good.map(({ publisher }) => publisher.text));
    for (const publisher of renewed.keys()) {
      if (!publishers.has(publisher)) records.put(this.#renewals + publisher, undefined);
    }
    return good.sort((a, b) => a.leftMs - b.leftMs);
  }

  /** `untilMs`: expiry by the wall clock. */
  stored(entry: Entry, untilMs: number): void {
    if (this.#records === undefined) return;
    const base64 = Buffer.from(entry.value, "latin1").toString("base64");
    this.#records.put(this.#name(entry), `[${Math.ceil(untilMs / second)},"${base64}"]`);
  }

  renewed({ endpoint }: Publisher, untilMs: number): void {
    this.#records?.put(this.#renewals + endpoint.text, String(Math.ceil(untilMs / second)));
  }

  /** Called after the entry has left its publisher. */
  removed(entry: Entry): void {
    if (this.#records === undefined) return;
    this.#records.put(this.#name(entry), undefined);
    const { endpoint, entries } = entry.publisher;
    if (entries.size === 0) this.#records.put(this.#renewals + endpoint.text, undefined);
  }

  /** A loaded value that is not taken after all. */
  refused({ publisher, key }: StoredValue): void {
    this.#records?.put(`${this.#values}${publisher.text}!${idText(key)}`, undefined);
  }

  #name({ key, publisher }: Entry): string {
    return `${this.#values}${publisher.endpoint.text}!${idText(keyBytes(key))}`;
  }
}

interface Times {
  /** Publisher → renewed expiry, wall seconds. */
  readonly renewed: ReadonlyMap<string, number>;
  readonly wallMs: number;
}

/** `name` without its prefix. undefined if it has lapsed or is not what this program writes. */
function parse(name: string, text: string, { renewed, wallMs }: Times): StoredValue | undefined {
  const [publisherText = "", keyText = ""] = name.split("!");
  const publisher = parseEndpoint(publisherText);
  const key = idFromText(keyText);
  const match = /^\[(\d{1,11}),"([A-Za-z0-9+/=]*)"\]$/.exec(text);
  if (publisher?.text !== publisherText || key === undefined || match === null) return undefined;
  const value = Buffer.from(match[2] ?? "", "base64");
  const untilS = Math.max(Number(match[1]), renewed.get(publisherText) ?? 0);
  // A wall clock that was set back must not make anything live longer than a value lives.
  const leftMs = Math.min(untilS * second - wallMs, dhtLimits.valueMs);
  return leftMs > 0 ? { publisher, key, value, leftMs } : undefined;
}
