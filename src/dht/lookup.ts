/**
 * One iterative lookup (Kademlia, section 2.3) under a policy. It knows no socket: it asks through
 * `LookupPort` and is told of answers. Rules:
 * - Whoever is asked is asked once by this lookup; retransmissions are the transaction's affair.
 * - Values are delivered as they come, each publisher once in each of its states.
 * - The end comes exactly once. Values may come after it: from the late, and pages under way.
 * - What answers claim is bounded: see `candidates.ts`.
 */
import { dhtLimits } from "../base/dht-limits.ts";
import type { NodeId } from "../base/node-id.ts";
import type { AnswerMessage, HeldValue, NodeInfo, Query } from "../krpc/message.ts";
import type { Outcome, PendingQuery, QueryHandlers, Schedule } from "../krpc/transactions.ts";
import { Candidates } from "./candidates.ts";
import type { Candidate } from "./candidates.ts";
import type { LookupPolicy } from "./policy.ts";
import type { Contact } from "./types.ts";

export interface LookupPort {
  readonly own: NodeId;
  /** Sends one query under this schedule. */
  query(to: Contact, query: Query, schedule: Schedule, handlers: QueryHandlers): PendingQuery;
  /** What the node knows of somebody named in an answer; undefined: not to be contacted. */
  contact(info: NodeInfo, teller: Contact): Contact | undefined;
  /** Whether somebody is so slow lately that nobody should wait for it. */
  suspected(contact: Contact): boolean;
  /** Nodes in the network, roughly; undefined: unknown. */
  networkSize(): number | undefined;
  /** The same, as measured by several lookups; undefined before that. */
  measuredSize(): number | undefined;
  /** Share of this node's latest queries that were not answered in time. */
  silence(): number;
}

/** One answer or failure as it came, for people who watch (`apt-p2p lookup --hops`). */
export interface Hop {
  readonly contact: Contact;
  readonly what: "answer" | "suspect" | "failed";
  /** Nodes named and values held, for an answer. */
  readonly nodes: number;
  readonly held: number;
  readonly rttMs: number;
}

export interface LookupEvents {
  /** Also after `done`; not after `cancel`. */
  readonly values?: (values: readonly HeldValue[], from: Contact) => void;
  readonly hop?: (hop: Hop) => void;
  /** The closest nodes that answered, nearest first; not called after `cancel`. */
  readonly done: (result: LookupResult) => void;
}

export interface LookupResult {
  readonly closest: readonly Contact[];
  /** Datagrams sent, retransmissions included. */
  readonly messages: number;
}

export interface LookupTask {
  readonly target: NodeId;
  readonly kind: "nodes" | "values";
  readonly policy: LookupPolicy;
  /** Closest nodes wanted; with more than the policy's k, so many must have answered. */
  readonly width?: number;
}

export class Lookup {
  readonly #task: LookupTask;
  readonly #port: LookupPort;
  readonly #events: LookupEvents;
  readonly #k: number;
  /** Distance within which k nodes are to be expected, as a share of the id space. */
  readonly #regionShare: number;
  readonly #candidates: Candidates;
  /** Publisher and value of all that was delivered. */
  readonly #delivered = new Set<string>();
  readonly #fetches = new Set<PendingQuery>();
  #fetched = 0;
  #messages = 0;
  /** Queries that were not answered in time. */
  #suspects = 0;
  #phase: "search" | "fetch" | "ended" = "search";
  #cancelled = false;

  constructor(port: LookupPort, task: LookupTask, events: LookupEvents) {
    this.#port = port;
    this.#task = task;
    this.#events = events;
    this.#k = task.width ?? task.policy.k;
    const live = 1 - Math.min(port.silence(), dhtLimits.mostSilence);
    const [size, measured] = [port.networkSize(), port.measuredSize()];
    // While the size is unknown all count as near, and nobody can be said to crowd the target.
    const nearShare =
      size === undefined ? Infinity : (dhtLimits.nearFactor * this.#k) / (size * live);
    this.#regionShare = measured === undefined ? 0 : this.#k / (measured * live);
    this.#candidates = new Candidates(task.target, port.own, nearShare);
  }

  get ended(): boolean {
    return this.#phase === "ended";
  }

  /** Begins with these contacts. Without any it ends at once. */
  start(contacts: Iterable<Contact>): void {
    for (const contact of contacts) this.#offer(contact);
    this.#step();
  }

  /** Nothing is delivered any more, and what is under way is forgotten. */
  cancel(): void {
    this.#phase = "ended";
    this.#cancelled = true;
    for (const { pending } of this.#candidates) pending?.cancel();
    for (const fetch of this.#fetches) fetch.cancel();
  }

  /** Ends with what there is. */
  giveUp(): void {
    if (this.#phase === "search") this.#finish();
  }

  #offer(contact: Contact): Candidate | undefined {
    return this.#candidates.offer(contact, this.#port.suspected(contact) ? "suspect" : "new");
  }

  /** Everything that decides stands here: who counts as closest, whether it is over, who is next. */
  #step(): void {
    if (this.#phase !== "search") return;
    const { policy } = this.#task;
    for (;;) {
      const closest = this.#closest(this.#k);
      const full = closest.length >= this.#k;
      if (policy.earlyAbort && full && closest.every(({ state }) => state === "answered")) break;
      const busy = this.#busy(closest);
      const next = busy < policy.alpha ? this.#next(closest, full) : undefined;
      if (next !== undefined) this.#ask(next);
      else if (busy > 0 || this.#awaited(closest)) {
        this.#hedge(busy);
        return;
      } else break;
    }
    if (!policy.inlineValues && this.#task.kind === "values") this.#startFetch();
    else this.#finish();
  }

  /**
   * Where many are silent, waiting to see which of the closest are would cost a time-out after
   * another: as many of the next ones as will be needed by the share of silence are asked now.
   */
  #hedge(busy: number): void {
    if (!this.#task.policy.skipSuspects) return;
    const silence = Math.min(this.#port.silence(), dhtLimits.mostSilence);
    const ahead = Math.floor((dhtLimits.hedge * silence * busy) / (1 - silence));
    const late = this.#suspects >= dhtLimits.lateAfter;
    if (ahead < (late ? 1 : dhtLimits.leastAhead)) return;
    const wider = this.#closest(this.#k + ahead).slice(this.#k);
    for (const candidate of wider) if (candidate.near && unasked(candidate)) this.#ask(candidate);
  }

  /**
   * The nearest that can still answer in time, so many of them. Where these are denser than honest
   * ids can be, somebody has placed nodes around the target: then all of the region count in which
   * as many honest ones are to be expected, and those who crowd the target hide nobody.
   */
  #closest(count: number): Candidate[] {
    const { skipSuspects } = this.#task.policy;
    const closest: Candidate[] = [];
    let most = count;
    for (const candidate of this.#candidates) {
      const { state, share } = candidate;
      if (state === "failed" || (skipSuspects && state === "suspect")) continue;
      if (closest.length >= this.#k && closest.length >= count && share > this.#regionShare) break;
      closest.push(candidate);
      if (closest.length === count && share < this.#regionShare / dhtLimits.implausibleDensity) {
        most = Math.max(count, dhtLimits.regionCandidates);
      }
      if (closest.length >= most) break;
    }
    return closest;
  }

  #busy(closest: readonly Candidate[]): number {
    const { leapFrog } = this.#task.policy;
    const counted = leapFrog ? closest : this.#candidates;
    let busy = 0;
    for (const candidate of counted) if (candidate.state === "asked") busy++;
    return busy;
  }

  /** Whether the end waits for an answer that holds no slot any more. */
  #awaited(closest: readonly Candidate[]): boolean {
    const { earlyAbort } = this.#task.policy;
    const waited = earlyAbort ? closest : this.#candidates;
    for (const { pending } of waited) if (pending !== undefined) return true;
    return false;
  }

  #next(closest: readonly Candidate[], full: boolean): Candidate | undefined {
    const { rttFirst, farAlpha } = this.#task.policy;
    let far = 0;
    for (const { state, near } of closest) if (state === "asked" && !near) far++;
    let best: Candidate | undefined;
    let bestMs = Infinity;
    for (const candidate of closest) {
      if (!unasked(candidate) || (!candidate.near && far >= farAlpha)) continue;
      if (!rttFirst) return candidate;
      const rttMs = candidate.contact.peer.srttMs ?? dhtLimits.firstTimeoutMs;
      if (rttMs < bestMs) [best, bestMs] = [candidate, rttMs];
    }
    // Too few are left without those that were slow earlier: they get their chance after all.
    return best ?? (full ? undefined : this.#first(unasked));
  }

  #first(wanted: (candidate: Candidate) => boolean): Candidate | undefined {
    for (const candidate of this.#candidates) if (wanted(candidate)) return candidate;
    return undefined;
  }

  #ask(candidate: Candidate): void {
    const { policy, kind, target } = this.#task;
    const { contact } = candidate;
    const query: Query =
      kind === "values"
        ? { method: "find_value", key: target }
        : { method: "find_node", target, count: Math.min(this.#k, dhtLimits.mostNodes) };
    candidate.state = "asked";
    this.#messages++;
    candidate.pending = this.#port.query(contact, query, policy.schedule(contact.peer), {
      done: (outcome) => this.#answered(candidate, outcome),
      suspect: () => this.#suspect(candidate),
      resent: () => this.#messages++,
    });
  }

  #suspect(candidate: Candidate): void {
    if (candidate.state !== "asked" || !this.#task.policy.freeSuspects) return;
    candidate.state = "suspect";
    this.#suspects++;
    this.#hop(candidate, "suspect", 0);
    this.#step();
  }

  #answered(candidate: Candidate, outcome: Outcome): void {
    candidate.pending = undefined;
    if (outcome.kind === "answer") this.#take(candidate, outcome.message, outcome.rttMs);
    else {
      candidate.state = "failed";
      this.#hop(candidate, "failed", 0);
      // Who named it lied about its id, but whoever lives there has answered.
      if (outcome.kind === "failed" && outcome.other !== undefined && !this.ended) {
        const { endpoint, peer } = candidate.contact;
        const real = this.#offer({ id: outcome.other.id, endpoint, peer });
        if (real !== undefined) this.#take(real, outcome.other, 0);
      }
    }
    this.#step();
  }

  #take(candidate: Candidate, { fields }: AnswerMessage, rttMs: number): void {
    const { nodes = [], values = [], held = 0 } = fields;
    candidate.state = "answered";
    candidate.held = held;
    for (const info of nodes) {
      const contact = this.#port.contact(info, candidate.contact);
      if (contact !== undefined && !this.ended) this.#offer(contact);
    }
    this.#hop(candidate, "answer", rttMs, nodes.length);
    this.deliver(values, candidate.contact);
    if (values.length > 0 && values.length < held) {
      this.#fetchPage(candidate, { from: values.length, page: 1 });
    }
  }

  #hop(candidate: Candidate, what: Hop["what"], rttMs: number, nodes = 0): void {
    const { contact, held } = candidate;
    this.#events.hop?.({ contact, what, nodes, held, rttMs });
  }

  /** Hands on what is new of these; the asking node's own values come this way, too. */
  deliver(values: readonly HeldValue[], from: Contact): void {
    if (this.#cancelled) return;
    const fresh = values.filter(({ publisher, value }) => {
      if (this.#delivered.size >= dhtLimits.lookupValues) return false;
      const text = `${publisher.text} ${Buffer.from(value).toString("latin1")}`;
      if (this.#delivered.has(text)) return false;
      this.#delivered.add(text);
      return true;
    });
    if (fresh.length > 0) this.#events.values?.(fresh, from);
  }

  /** 2008: when the search has ended, the holders are asked for what they hold, nearest first. */
  #startFetch(): void {
    this.#phase = "fetch";
    this.#events.done(this.#result());
    this.#fetchNext();
  }

  #fetchNext(): void {
    while (this.#fetches.size < this.#task.policy.alpha && this.#fetched < holders2008) {
      const holder = this.#first(({ state, held }) => state === "answered" && held > 0);
      if (holder === undefined) break;
      this.#fetchPage(holder, { from: 0, page: 0 });
    }
    if (this.#fetches.size === 0 || this.#fetched >= holders2008) this.cancel();
  }

  /** Asks a holder for its values from this one on, and for the rest when they have come. */
  #fetchPage(
    holder: Candidate,
    { from, page }: { readonly from: number; readonly page: number },
  ): void {
    const { contact, held } = holder;
    const { policy, target } = this.#task;
    holder.held = 0;
    // Whoever was given values may have enough.
    if (this.#cancelled) return;
    this.#messages++;
    const count = dhtLimits.mostValues;
    const query: Query = { method: "get_value", key: target, count, from };
    const fetch = this.#port.query(contact, query, policy.schedule(contact.peer), {
      resent: () => this.#messages++,
      done: (outcome) => {
        this.#fetches.delete(fetch);
        const values = outcome.kind === "answer" ? (outcome.message.fields.values ?? []) : [];
        this.deliver(values, contact);
        const next = from + values.length;
        const more = values.length > 0 && next < Math.min(held, dhtLimits.valuesPerKey);
        if (more && policy.inlineValues && page < dhtLimits.pagesPerHolder) {
          this.#fetchPage({ ...holder, held }, { from: next, page: page + 1 });
        }
        if (this.#phase !== "fetch") return;
        if (values.length > 0) this.#fetched++;
        this.#fetchNext();
      },
    });
    this.#fetches.add(fetch);
  }

  /** What was asked and has not answered may still teach the node and bring values, pages too. */
  #finish(): void {
    this.#phase = "ended";
    for (const { pending } of this.#candidates) pending?.sendNoMore();
    this.#events.done(this.#result());
  }

  #result(): LookupResult {
    const answered = [...this.#candidates].filter(({ state }) => state === "answered");
    const last = answered[this.#k - 1];
    const crowded = (last?.share ?? 1) < this.#regionShare / dhtLimits.implausibleDensity;
    const closest = answered
      .filter(({ share }, place) => place < this.#k || (crowded && share <= this.#regionShare))
      .map(({ contact }) => contact);
    return { closest, messages: this.#messages };
  }
}

function unasked({ state, pending }: Candidate): boolean {
  return state === "new" || (state === "suspect" && pending === undefined);
}

/** 2008: so many holders are asked for their values. */
const holders2008 = 6;
