/**
 * How many queries one sender may have answered: a token bucket per address and, on the Internet, one
 * per /24 or /64. Who exceeds its own by a whole burst more is not heard for a while.
 *
 * UDP senders can be forged, so somebody may silence a third party here; that costs him 400 datagrams
 * per victim, node and five minutes. What many forged senders can do is bounded by memory alone.
 */
import { dhtLimits } from "../base/dht-limits.ts";
import { subnetOf } from "../base/endpoint.ts";
import { second } from "../base/units.ts";
import { reachOf } from "./party.ts";

interface Bucket {
  /** Tokens left; below 0, by how much the sender has exceeded. */
  level: number;
  atMs: number;
}

interface Source extends Bucket {
  /** How many usual senders it stands for. */
  readonly weight: number;
  /** Of a global address. */
  readonly subnet: string | undefined;
}

/** Laboratories and containers run many nodes behind one address of the own network. */
const ownNetworkWeight = 10;

/** One busy address must leave as much to its neighbours. */
const subnetBurst = 2 * dhtLimits.queryBurst;

export class QueryGuard {
  /** Sources and subnets by recency of use, at most `limit` each. */
  readonly #sources = new Map<string, Source>();
  readonly #subnets = new Map<string, Bucket>();
  /** Address → end of its silence, the one that ends first in front. Apart, so that many new senders
   *  cannot make us forget who is silenced. */
  readonly #silenced = new Map<string, number>();
  readonly #limit: number;

  constructor(limit: number = dhtLimits.countedSources) {
    this.#limit = limit;
  }

  /** Sources that are counted. */
  get counted(): number {
    return this.#sources.size;
  }

  /** Sources that are silenced, as of the last call of `allow`. */
  get silenced(): number {
    return this.#silenced.size;
  }

  /** Whether a query that has just come from this address is to be answered. */
  allow(address: string, nowMs: number): boolean {
    this.#endSilences(nowMs);
    if (this.#silenced.has(address)) return false;
    const known = this.#sources.get(address);
    // A known sender pays first, so that one that sends too much does not use up its subnet's share;
    // a new one pays last, so that a subnet gets no more records than its share.
    if (known !== undefined)
      return this.#pays(address, known, nowMs) && this.#subnetPays(known, nowMs);
    const source = newSource(address, nowMs);
    return this.#subnetPays(source, nowMs) && this.#pays(address, source, nowMs);
  }

  #pays(address: string, source: Source, nowMs: number): boolean {
    const burst = source.weight * dhtLimits.queryBurst;
    const left = take(source, {
      nowMs,
      burst,
      perSecond: source.weight * dhtLimits.queriesPerSecond,
    });
    if (left <= -burst) {
      this.#sources.delete(address);
      keep(this.#silenced, {
        key: address,
        value: nowMs + dhtLimits.silenceMs,
        limit: this.#limit,
      });
      return false;
    }
    keep(this.#sources, { key: address, value: source, limit: this.#limit });
    return left >= 0;
  }

  #subnetPays({ subnet }: Source, nowMs: number): boolean {
    if (subnet === undefined) return true;
    const bucket = this.#subnets.get(subnet) ?? { level: subnetBurst, atMs: nowMs };
    keep(this.#subnets, { key: subnet, value: bucket, limit: this.#limit });
    const perSecond = dhtLimits.queriesPerSecondAndSubnet;
    const left = take(bucket, { nowMs, burst: subnetBurst, perSecond });
    // Subnets run up no debt: those who share one are not to suffer longer than the flood lasts.
    bucket.level = Math.max(0, left);
    return left >= 0;
  }

  #endSilences(nowMs: number): void {
    for (const [address, untilMs] of this.#silenced) {
      if (untilMs > nowMs) break;
      this.#silenced.delete(address);
    }
  }
}

function newSource(address: string, nowMs: number): Source {
  const global = reachOf(address) === "global";
  const weight = global ? 1 : ownNetworkWeight;
  const subnet = global ? subnetOf(address) : undefined;
  return { level: weight * dhtLimits.queryBurst, atMs: nowMs, weight, subnet };
}

interface Terms {
  readonly nowMs: number;
  readonly burst: number;
  readonly perSecond: number;
}

/** Takes one token, on credit if need be → what is left. */
function take(bucket: Bucket, { nowMs, burst, perSecond }: Terms): number {
  const filled = bucket.level + ((nowMs - bucket.atMs) / second) * perSecond;
  bucket.level = Math.min(burst, filled) - 1;
  bucket.atMs = nowMs;
  return bucket.level;
}

interface Kept<V> {
  readonly key: string;
  readonly value: V;
  readonly limit: number;
}

/** Puts an item at the map's end; the one in front goes if there are too many. */
function keep<V>(map: Map<string, V>, { key, value, limit }: Kept<V>): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= limit) return;
  const first = map.keys().next();
  if (first.done !== true) map.delete(first.value);
}
