/**
 * Whether others can reach this node unasked. A query from somebody to whom nothing was sent for
 * longer than pinholes stay open proves it. If there is none although enough nodes know us, we are
 * behind a NAT or a firewall and say so in our queries (`readOnly`, BEP 43), so that nobody keeps us
 * in its table. From time to time we do not say it: then others try us, and a port that was opened
 * meanwhile is noticed.
 */
import type { Endpoint } from "../base/endpoint.ts";
import { hour, minute } from "../base/units.ts";

export type Reachable = "unknown" | "reachable" | "unreachable";

/** So many nodes must know us before their silence means anything; each pings its newcomers. */
const askedNodes = 8;

/** Others ping a newcomer again after `dhtLimits.pinholeMs`; twice that and some patience. */
const proofMs = 15 * minute;

/** While unreachable: one trial in this time, of this length. */
const trialEveryMs = hour;
const trialMs = 10 * minute;

export class Reachability {
  /** Nodes asked, until there are enough. */
  readonly #asked = new Set<string>();
  /** When enough were asked: the proof must come within `proofMs` from then on. */
  #enoughAtMs: number | undefined;
  #proven = false;

  /** A query of ours to this node was answered. */
  asked(node: Endpoint, nowMs: number): void {
    if (this.#enoughAtMs !== undefined) return;
    this.#asked.add(node.text);
    if (this.#asked.size >= askedNodes) this.#enoughAtMs = nowMs;
  }

  /**
   * A query came. `unasked`: nothing, neither query nor answer, was sent to its address and port for
   * `dhtLimits.pinholeMs`; an answer of ours opens a pinhole as well as a query.
   */
  heard({ unasked }: { readonly unasked: boolean; readonly nowMs: number }): void {
    if (unasked) this.#proven = true;
  }

  /** Our address has changed: nothing that was found out holds any more. */
  reset(_nowMs: number): void {
    this.#asked.clear();
    this.#enoughAtMs = undefined;
    this.#proven = false;
  }

  state(nowMs: number): Reachable {
    if (this.#proven) return "reachable";
    return this.#unreachableMs(nowMs) === undefined ? "unknown" : "unreachable";
  }

  /** Whether our queries say that we cannot be reached. */
  readOnly(nowMs: number): boolean {
    if (this.#proven) return false;
    const sinceMs = this.#unreachableMs(nowMs);
    return sinceMs !== undefined && sinceMs % trialEveryMs < trialEveryMs - trialMs;
  }

  /** For how long we have counted as unreachable. */
  #unreachableMs(nowMs: number): number | undefined {
    if (this.#enoughAtMs === undefined) return undefined;
    const sinceMs = nowMs - this.#enoughAtMs - proofMs;
    return sinceMs >= 0 ? sinceMs : undefined;
  }
}
