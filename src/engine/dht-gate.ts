/**
 * To which nodes this daemon may say that it has files: to those that can connect to it, and to
 * those whose askers can.
 *
 * - Who listens on the loopback interface alone says so to this machine alone.
 * - A node of the Internet is told nothing before one of its kind has connected to our TCP port
 *   (`join`). That is tried again after a while, and when our address has changed.
 * - Without other nodes than those that may be told, the publisher looks for holders like everybody.
 *   Beside nodes that may not be told, it gets its holders from the routing table.
 */
import type { Counters } from "../base/counters.ts";
import type { AddressScope, Family } from "../base/endpoint.ts";
import { familyOf, scopeOf, subnetOf } from "../base/endpoint.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Random } from "../base/ports.ts";
import { minute } from "../base/units.ts";
import type { RoutingTable } from "../dht/routing-table.ts";
import type { Asker, Contact } from "../dht/types.ts";
import type { Query } from "../krpc/message.ts";
import type { Outcome } from "../krpc/transactions.ts";

/** Where peers connect. */
export interface Serving {
  readonly tcpPort: number;
  /** Literals that the port is bound to; `0.0.0.0` and `::` stand for all of their family. */
  readonly addresses: readonly string[];
}

export interface GateParts {
  readonly asker: Asker;
  readonly table: RoutingTable;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
}

/** Whether nodes of the Internet could connect: `unknown` before anybody could say. */
export type Proof = "unknown" | "reached" | "unreached";

/** So many different nodes are asked to connect before their silence counts. */
const askedNodes = 3;
const askAgainMs = 30 * minute;
/** Where nobody could say anything, as right after the start. */
const askAgainSoonMs = minute;

export class AnnounceGate implements Asker {
  readonly #parts: GateParts;
  readonly #tcpPort: number;
  readonly #loopback: boolean;
  readonly #beyond: boolean;
  #proof: Proof = "unknown";
  #asking = false;
  #askAtMs = -Infinity;
  /** Counts addresses of ours: what an earlier one has shown does not hold for the next. */
  #epoch = 0;

  constructor(parts: GateParts, family: Family, { tcpPort, addresses }: Serving) {
    this.#parts = parts;
    this.#tcpPort = tcpPort;
    const own = addresses.filter((address) => familyOf(address) === family);
    const scopes = own.map((address) => (isWildcard(address) ? "wildcard" : scopeOf(address)));
    this.#loopback = scopes.some((scope) => scope === "loopback" || scope === "wildcard");
    this.#beyond = scopes.some((scope) => scope !== "loopback");
  }

  get proof(): Proof {
    return this.#proof;
  }

  /** Listens for other machines, not only for this one. */
  get beyondLoopback(): boolean {
    return this.#beyond;
  }

  /** Whether there is a node that may be told. */
  get useful(): boolean {
    for (const { peer } of this.#parts.table.contacts()) if (this.allows(peer.scope)) return true;
    return false;
  }

  /** Whether it is known who may be told: nobody is to be given up because that is not known yet. */
  get settled(): boolean {
    const { table } = this.#parts;
    if (!this.#beyond || this.#proof !== "unknown" || this.#askAtMs > -Infinity) return true;
    for (const { peer } of table.contacts()) if (peer.scope === "global") return false;
    return true;
  }

  allows(scope: AddressScope): boolean {
    switch (scope) {
      case "loopback":
        return this.#loopback;
      case "private":
        return this.#beyond;
      case "global":
        return this.#beyond && this.#proof === "reached";
      case "unusable":
        return false;
    }
  }

  /** Has itself connected to, if that is due; `changed` is called when it has become known. */
  review(changed: () => void): void {
    const { clock, counters } = this.#parts;
    if (!this.#beyond || this.#asking || this.#proof === "reached") return;
    if (clock.monotonicMs() < this.#askAtMs) return;
    const askable = this.#strangers();
    if (askable.length === 0) return;
    this.#asking = true;
    counters.add("dht.dialBack.asked");
    const epoch = this.#epoch;
    this.#askOneByOne(askable, "unknown", (proof) => {
      this.#asking = false;
      if (epoch !== this.#epoch) return;
      const pauseMs = proof === "unknown" ? askAgainSoonMs : askAgainMs;
      this.#askAtMs = clock.monotonicMs() + pauseMs;
      if (proof === "unknown" || proof === this.#proof) return;
      this.#proof = proof;
      counters.add(`dht.dialBack.${proof}`);
      changed();
    });
  }

  /** Our address has changed: nothing is proven any more. */
  moved(): void {
    this.#epoch++;
    this.#proof = "unknown";
    this.#askAtMs = -Infinity;
  }

  ask(to: Contact, query: Query, done: (outcome: Outcome) => void): void {
    if (this.allows(to.peer.scope)) this.#parts.asker.ask(to, query, done);
    else this.#parts.clock.after(0, () => done({ kind: "failed" }));
  }

  findClosest(target: NodeId, width: number, done: (closest: readonly Contact[]) => void): void {
    const { asker, table, clock } = this.#parts;
    const allowed = (contact: Contact): boolean => this.allows(contact.peer.scope);
    if ([...table.contacts()].every(allowed)) {
      asker.findClosest(target, width, (closest) => done(closest.filter(allowed)));
      return;
    }
    const near = table.closest(target, table.size).filter(allowed).slice(0, width);
    clock.after(0, () => done(near));
  }

  /** Up to three nodes of the Internet, each of another network. */
  #strangers(): Contact[] {
    const { table, random } = this.#parts;
    const found = new Map<string, Contact>();
    for (const contact of table.contacts()) {
      const { scope, failures } = contact.peer;
      if (scope !== "global" || failures > 0) continue;
      const subnet = subnetOf(contact.endpoint.address);
      if (!found.has(subnet)) found.set(subnet, contact);
    }
    const all = [...found.values()];
    const chosen: Contact[] = [];
    while (chosen.length < askedNodes && all.length > 0) {
      chosen.push(...all.splice(Math.floor(random.next() * all.length), 1));
    }
    return chosen;
  }

  #askOneByOne(left: readonly Contact[], proof: Proof, done: (proof: Proof) => void): void {
    const [next, ...others] = left;
    if (next === undefined) {
      done(proof);
      return;
    }
    this.#parts.asker.ask(next, { method: "join", port: this.#tcpPort }, (outcome) => {
      const reached = outcome.kind === "answer" ? outcome.message.fields.reached : undefined;
      if (reached === true) done("reached");
      else this.#askOneByOne(others, reached === false ? "unreached" : proof, done);
    });
  }
}

function isWildcard(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}
