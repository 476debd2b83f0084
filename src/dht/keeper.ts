/**
 * Keeps the routing table true: who enters it, who is pinged when, who leaves.
 *
 * A node that spoke to us first, and has a token of ours, may sit behind a NAT whose pinhole it has
 * just opened. So it waits in quarantine: it is pinged at once, and again when its pinhole has closed
 * (2008's re-ping); only then it enters. Who answers a query although nothing had come from its address before has proved the
 * same at once. A newcomer that is never silent long enough is believed when it still claims to be
 * reachable after `quarantineMs`, for whoever is not finds that out earlier and says so.
 */
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import { compareDistance, idWithPrefix, sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Random } from "../base/ports.ts";
import { Agenda } from "./agenda.ts";
import type { RoutingTable } from "./routing-table.ts";
import type { Asker, Contact } from "./types.ts";

interface Newcomer {
  readonly contact: Contact;
  readonly sinceMs: number;
  /** When it is pinged to prove itself. */
  dueMs: number;
  /** It answered the first ping. */
  answers: boolean;
}

export class Keeper {
  readonly #table: RoutingTable;
  readonly #asker: Asker;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #counters: Counters;
  readonly #own: NodeId;
  readonly #meet: (target: NodeId, done: () => void) => void;
  /** By endpoint. */
  readonly #quarantine = new Map<string, Newcomer>();
  /** When each contact of the table is looked at again. */
  readonly #agenda = new Agenda(dhtLimits.upkeepMs);
  #stopTimer: (() => void) | undefined;
  #refreshing = 0;

  constructor(components: {
    readonly table: RoutingTable;
    readonly asker: Asker;
    readonly clock: Clock;
    readonly random: Random;
    readonly counters: Counters;
    readonly own: NodeId;
    /** A quick lookup, by which the nodes around a target are met. */
    readonly meet: (target: NodeId, done: () => void) => void;
  }) {
    this.#table = components.table;
    this.#asker = components.asker;
    this.#clock = components.clock;
    this.#random = components.random;
    this.#counters = components.counters;
    this.#own = components.own;
    this.#meet = components.meet;
  }

  start(): void {
    this.#again(this.#random.next() * dhtLimits.upkeepMs);
  }

  stop(): void {
    this.#stopTimer?.();
  }

  get quarantined(): number {
    return this.#quarantine.size;
  }

  /** A query with a token came from somebody who says it can be reached. */
  heard(contact: Contact): void {
    if (this.#table.at(contact.endpoint.text) !== undefined) return;
    if (this.#quarantine.has(contact.endpoint.text)) return;
    if (!this.#table.wants(contact.id)) return;
    if (this.#admit(contact, false)) this.#ping(contact);
  }

  /** It says itself that it cannot be reached. */
  unreachable(contact: Contact): void {
    this.#quarantine.delete(contact.endpoint.text);
    const known = this.#table.at(contact.endpoint.text);
    if (known !== undefined) this.#remove(known, "dht.contact.readOnly");
  }

  answered(contact: Contact, silentMs: number): void {
    if (this.#table.at(contact.endpoint.text) !== undefined) return;
    const newcomer = this.#quarantine.get(contact.endpoint.text);
    const nowMs = this.#clock.monotonicMs();
    const believed = newcomer !== undefined && nowMs - newcomer.sinceMs >= dhtLimits.quarantineMs;
    const noNat = contact.peer.scope !== "global";
    if (silentMs >= dhtLimits.pinholeMs || believed || noNat) {
      this.#quarantine.delete(contact.endpoint.text);
      contact.peer.provenAtMs = nowMs;
      const addition = this.#table.add(contact);
      this.#counters.add(`dht.contact.${addition}`);
      if (addition === "added" || addition === "replaced") this.#plan(contact);
      return;
    }
    if (newcomer === undefined) this.#admit(contact, true);
    else newcomer.answers = true;
  }

  failed(contact: Contact): void {
    this.#quarantine.delete(contact.endpoint.text);
    const known = this.#table.at(contact.endpoint.text);
    if (known === undefined) return;
    if (contact.peer.failures < dhtLimits.failuresToEvict) this.#plan(known);
    else this.#remove(known, "dht.contact.evicted");
  }

  /** Somebody else answered at its address: whoever else is known there stays. */
  gone({ id, endpoint: { text } }: Contact): void {
    const newcomer = this.#quarantine.get(text);
    if (newcomer !== undefined && sameId(newcomer.contact.id, id)) this.#quarantine.delete(text);
    const known = this.#table.at(text);
    if (known !== undefined && sameId(known.id, id)) this.#remove(known, "dht.contact.evicted");
  }

  /** It let a query run into its time-out: it is looked at sooner. */
  suspected(contact: Contact): void {
    const known = this.#table.at(contact.endpoint.text);
    if (known !== undefined) this.#plan(known);
  }

  /** The closest nodes that are worth naming to others; newcomers only where there are too few. */
  closest(target: NodeId, count: number): Contact[] {
    // Twice as many, so that no newcomer takes the place of a good one behind a failing one.
    const proven = this.#table.closest(target, 2 * count);
    const good = proven.filter(({ peer }) => peer.failures === 0).slice(0, count);
    if (good.length >= Math.min(count, dhtLimits.k) || this.#quarantine.size === 0) return good;
    const fresh = [...this.#quarantine.values()].filter(({ answers }) => answers);
    return [...good, ...fresh.map(({ contact }) => contact)]
      .sort((a, b) => compareDistance(target, a.id, b.id))
      .slice(0, count);
  }

  #admit(contact: Contact, answers: boolean): boolean {
    if (this.#quarantine.size >= dhtLimits.quarantine) {
      this.#counters.add("dht.quarantine.full");
      return false;
    }
    const sinceMs = this.#clock.monotonicMs();
    const dueMs = sinceMs + dhtLimits.pinholeMs;
    this.#quarantine.set(contact.endpoint.text, { contact, sinceMs, dueMs, answers });
    this.#counters.add("dht.quarantine.in");
    return true;
  }

  #remove(contact: Contact, counter: string): void {
    this.#table.remove(contact);
    this.#agenda.forget(contact);
    this.#counters.add(counter);
    const spare = this.#table.takeSpare(contact);
    if (spare !== undefined) this.#ping(spare);
  }

  #ping(contact: Contact): void {
    this.#asker.ask(contact, { method: "ping" }, () => undefined);
  }

  #again(delayMs: number): void {
    this.#stopTimer = this.#clock.after(delayMs, () => {
      this.#upkeep();
      this.#again(dhtLimits.upkeepMs * (0.9 + 0.2 * this.#random.next()));
    });
  }

  #upkeep(): void {
    const nowMs = this.#clock.monotonicMs();
    let pings = 0;
    for (const contact of this.#agenda.take(nowMs)) {
      if (this.#table.at(contact.endpoint.text) !== contact) continue;
      if (pings < dhtLimits.upkeepPings && this.#dueMs(contact) <= nowMs) {
        pings++;
        this.#ping(contact);
      }
      this.#plan(contact);
    }
    for (const newcomer of this.#quarantine.values()) {
      const { contact, sinceMs, dueMs } = newcomer;
      if (nowMs < dueMs || pings >= 2 * dhtLimits.upkeepPings) continue;
      // Whatever came from it since has kept its pinhole open.
      const opens = contact.peer.arrivedAtMs + dhtLimits.pinholeMs;
      newcomer.dueMs = Math.min(opens, sinceMs + dhtLimits.quarantineMs);
      if (nowMs < newcomer.dueMs) continue;
      newcomer.dueMs = nowMs + dhtLimits.pinholeMs;
      pings++;
      this.#counters.add("dht.contact.repinged");
      this.#ping(contact);
    }
    this.#refresh(nowMs);
  }

  #plan(contact: Contact): void {
    this.#agenda.plan(contact, this.#dueMs(contact));
  }

  /** When it is to be pinged if nothing comes from it until then. */
  #dueMs({ peer }: Contact): number {
    const { failedRetryMs, contactSilentMs, youngSilentMs } = dhtLimits;
    if (peer.failures > 0) return peer.sentAtMs + failedRetryMs * 2 ** peer.failures;
    if (peer.suspect) return peer.sentAtMs + 2 * failedRetryMs;
    const ageMs = this.#clock.monotonicMs() - peer.provenAtMs;
    const patienceMs = Math.min(contactSilentMs, Math.max(youngSilentMs, ageMs / 4));
    return Math.max(peer.heardAtMs + patienceMs, peer.sentAtMs + failedRetryMs);
  }

  /** One bucket at a time, so that its cost is spread. */
  #refresh(nowMs: number): void {
    if (this.#refreshing > 0 || this.#table.size === 0) return;
    const stale = this.#table.staleBuckets(nowMs - dhtLimits.bucketRefreshMs);
    const depth = stale[Math.floor(this.#random.next() * stale.length)];
    if (depth === undefined) return;
    this.refreshBucket(depth);
  }

  /** Looks up an id of this bucket, so that who lives there is met. */
  refreshBucket(depth: number): void {
    this.#refreshing++;
    this.#counters.add("dht.bucket.refreshed");
    const target = idWithPrefix(this.#own, depth, this.#random);
    this.#meet(target, () => this.#refreshing--);
  }
}
