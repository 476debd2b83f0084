/**
 * A walk over the whole network: who is there, which versions, how many answer. Every node that is
 * named is asked for the nodes next to its own id, and for those next to one of the ids that divide
 * the id space evenly, so that no region stays unvisited. Rate and total are bounded.
 */
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import { randomNodeId, sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Random } from "../base/ports.ts";
import { second } from "../base/units.ts";
import type { NodeInfo, Query } from "../krpc/message.ts";
import type { Outcome } from "../krpc/transactions.ts";
import type { Asker, Contact } from "./types.ts";

export interface WalkParts {
  readonly asker: Pick<Asker, "ask">;
  /** What may be known of somebody named in an answer; undefined: not to be contacted. */
  readonly contactOf: (info: NodeInfo, teller: Contact) => Contact | undefined;
  readonly own: NodeId;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
}

export interface WalkProgress {
  /** Nodes that somebody has named, and of them those that have answered or failed. */
  readonly found: number;
  readonly answered: number;
  readonly silent: number;
  /** Queries so far, retransmissions not included. */
  readonly queries: number;
}

export interface WalkResult extends WalkProgress {
  /** Nodes by what they say of themselves: program, version, network. */
  readonly versions: ReadonlyMap<string, number>;
  /** Those that answered. */
  readonly nodes: readonly Contact[];
  readonly tookMs: number;
  /** False: it ended at a limit, and there may be more. */
  readonly complete: boolean;
}

export interface WalkEvents {
  readonly progress?: (progress: WalkProgress) => void;
  /** Called once, unless cancelled before. */
  readonly done: (result: WalkResult) => void;
}

interface Errand {
  readonly to: Contact;
  readonly target: NodeId;
}

/** Beyond the first, a patient query that fails has been sent so often. */
const resends = 2;
/** Versions that are told apart: others could send a new one with every answer. */
const mostVersions = 64;

export class Walk {
  readonly #parts: WalkParts;
  readonly #events: WalkEvents;
  readonly #versions = new Map<string, number>();
  readonly #known = new Set<string>();
  readonly #answered = new Map<string, Contact>();
  readonly #queue: Errand[] = [];
  #silent = 0;
  #queries = 0;
  #pending = 0;
  #spread = 0;
  #startedMs = 0;
  #nextMs = 0;
  #toldMs = -Infinity;
  #stopTimer: (() => void) | undefined;
  #ended = false;

  constructor(parts: WalkParts, events: WalkEvents) {
    this.#parts = parts;
    this.#events = events;
  }

  /** Begins with these; without any it ends soon. */
  start(seeds: Iterable<Contact>): void {
    this.#startedMs = this.#parts.clock.monotonicMs();
    this.#nextMs = this.#startedMs;
    for (const contact of seeds) this.#meet(contact);
    this.#armed();
  }

  cancel(): void {
    this.#ended = true;
    this.#stopTimer?.();
  }

  #meet(contact: Contact): void {
    const { endpoint, id } = contact;
    if (sameId(id, this.#parts.own) || this.#known.has(endpoint.text)) return;
    if (this.#known.size >= dhtLimits.walkNodes) return;
    this.#known.add(endpoint.text);
    this.#queue.push({ to: contact, target: id });
  }

  /** The next query when its time has come; the end when there is nothing left. */
  #armed(): void {
    if (this.#ended || this.#stopTimer !== undefined) return;
    const { clock } = this.#parts;
    const over = this.#queue.length === 0 || this.#queries >= dhtLimits.walkQueries;
    if (over && this.#pending > 0) return;
    const delayMs = over ? 0 : Math.max(0, this.#nextMs - clock.monotonicMs());
    this.#stopTimer = clock.after(delayMs, () => {
      this.#stopTimer = undefined;
      const errand = over ? undefined : this.#queue.shift();
      if (errand === undefined) this.#end();
      else this.#ask(errand);
      this.#armed();
    });
  }

  #ask(errand: Errand): void {
    const { asker, clock, counters } = this.#parts;
    this.#queries++;
    this.#pending++;
    this.#nextMs = Math.max(this.#nextMs, clock.monotonicMs()) + pauseMs;
    counters.add("dht.walk.queries");
    const { target } = errand;
    const query: Query = { method: "find_node", target, count: dhtLimits.mostNodes };
    asker.ask(errand.to, query, (outcome) => {
      this.#pending--;
      if (this.#ended) return;
      this.#heard(errand.to, outcome);
      this.#tell();
      this.#armed();
    });
  }

  #heard(from: Contact, outcome: Outcome): void {
    const first = !this.#answered.has(from.endpoint.text);
    if (outcome.kind !== "answer") {
      this.#nextMs += resends * pauseMs;
      if (first) this.#silent++;
      return;
    }
    for (const info of outcome.message.fields.nodes ?? []) {
      const contact = this.#parts.contactOf(info, from);
      if (contact !== undefined) this.#meet(contact);
    }
    if (!first) return;
    this.#answered.set(from.endpoint.text, from);
    const { version } = outcome.message;
    const counted = this.#versions.has(version) || this.#versions.size < mostVersions;
    const name = counted ? version : "others";
    this.#versions.set(name, (this.#versions.get(name) ?? 0) + 1);
    this.#queue.push({ to: from, target: this.#nextTarget() });
  }

  /** 0, 1/2, 1/4, 3/4, 1/8 … of the id space (van der Corput), and something random behind it. */
  #nextTarget(): NodeId {
    const target = randomNodeId(this.#parts.random);
    let [left, place] = [this.#spread++, 0];
    for (let bit = 15; left > 0 && bit >= 0; bit--, left >>= 1) place |= (left & 1) << bit;
    target[0] = place >> 8;
    target[1] = place & 255;
    return target;
  }

  #progress(): WalkProgress {
    return {
      ...{ found: this.#known.size, answered: this.#answered.size },
      ...{ silent: this.#silent, queries: this.#queries },
    };
  }

  #tell(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs - this.#toldMs < dhtLimits.walkProgressMs) return;
    this.#toldMs = nowMs;
    this.#events.progress?.(this.#progress());
  }

  #end(): void {
    this.#ended = true;
    const { clock, counters } = this.#parts;
    counters.add("dht.walk.done");
    this.#events.done({
      ...this.#progress(),
      versions: this.#versions,
      nodes: [...this.#answered.values()],
      tookMs: clock.monotonicMs() - this.#startedMs,
      complete: this.#queue.length === 0 && this.#known.size < dhtLimits.walkNodes,
    });
  }
}

const pauseMs = second / dhtLimits.walkQueriesPerSecond;
