/**
 * Whom this daemon does not speak to, by address (IPv6: by /64), until when and why. Bounded: with
 * more liars than that the oldest ban is forgotten.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import { subnetOf } from "../base/endpoint.ts";
import type { Counters } from "../base/counters.ts";
import type { Clock } from "../base/ports.ts";

export interface Ban {
  /** An IPv4 address, or the first four groups of IPv6 ones. */
  readonly who: string;
  readonly why: string;
  /** Milliseconds since 1970. */
  readonly untilMs: number;
}

const mostBans = 4096;

export class Bans {
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #bans = new BoundedMap<string, Ban>(mostBans);
  readonly #changed: (ban: Ban) => void;

  /** `changed` is told of each new ban, to remember it; `known`: those of an earlier run. */
  constructor(
    { clock, counters }: { readonly clock: Clock; readonly counters: Counters },
    known: Iterable<Ban> = [],
    changed: (ban: Ban) => void = () => undefined,
  ) {
    this.#clock = clock;
    this.#counters = counters;
    this.#changed = changed;
    for (const ban of known) this.#bans.set(ban.who, ban);
  }

  banned(address: string): boolean {
    const ban = this.#bans.get(partyOf(address));
    if (ban === undefined) return false;
    if (ban.untilMs > this.#clock.wallMs()) return true;
    this.#bans.delete(ban.who);
    return false;
  }

  /** A longer ban is not shortened. */
  ban(address: string, why: string, forMs: number): void {
    const who = partyOf(address);
    const untilMs = this.#clock.wallMs() + forMs;
    if ((this.#bans.get(who)?.untilMs ?? 0) >= untilMs) return;
    this.#counters.add("swarm.banned");
    const ban = { who, why, untilMs };
    this.#bans.set(who, ban);
    this.#changed(ban);
  }

  list(): readonly Ban[] {
    const nowMs = this.#clock.wallMs();
    return [...this.#bans.entries()].map(([, ban]) => ban).filter(({ untilMs }) => untilMs > nowMs);
  }
}

function partyOf(address: string): string {
  return address.includes(":") ? subnetOf(address) : address;
}
