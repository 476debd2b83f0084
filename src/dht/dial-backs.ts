/**
 * TCP dial-backs for others: a node that is to be listed with a port asks us to connect to it there.
 * Only so many at once and per minute, and each asker only now and then, so that nobody can use us
 * to knock at ports; who asks again meanwhile shares the answer.
 */
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import type { Endpoint } from "../base/endpoint.ts";
import type { Clock } from "../base/ports.ts";
import { minute, second } from "../base/units.ts";
import { partyOf } from "./party.ts";
import type { DialBack } from "./ports.ts";

export interface DialBackComponents {
  readonly clock: Clock;
  readonly dialBack: DialBack;
  readonly counters: Counters;
}

/** undefined: not tried, since too many are; that says nothing about the port. */
export type DialBackDone = (reached: boolean | undefined) => void;

interface Dial {
  readonly to: Endpoint;
  readonly atMs: number;
  reached: boolean | undefined;
  /** Those who wait for the answer, at most `sharersPerDial`. */
  readonly waiting: DialBackDone[];
}

/** One dial per source in this time: a query is repeated within it, a port is not opened faster. */
const perSourceMs = 10 * second;

/** A query and its retransmissions, twice. */
const sharersPerDial = 8;

export class DialBacks {
  readonly #clock: Clock;
  readonly #dialBack: DialBack;
  readonly #counters: Counters;
  /** Source → its last dial, the oldest in front; those of a minute, so `dialBacksPerMinute`. */
  readonly #dials = new Map<string, Dial>();
  /** Starts within the last minute, the oldest in front. */
  #starts: number[] = [];
  #running = 0;

  constructor({ clock, dialBack, counters }: DialBackComponents) {
    this.#clock = clock;
    this.#dialBack = dialBack;
    this.#counters = counters;
  }

  /** Dials that have not ended. */
  get running(): number {
    return this.#running;
  }

  /** `to`: the asker's own address and the port that it named. May call back at once. */
  ask(to: Endpoint, done: DialBackDone): void {
    const nowMs = this.#clock.monotonicMs();
    this.#forget(nowMs);
    const { source } = partyOf(to);
    const last = this.#dials.get(source);
    if (last?.to.text === to.text) {
      if (last.reached !== undefined) {
        this.#counters.add("dht.dialBacks.shared");
        done(last.reached);
        return;
      }
      if (last.waiting.length < sharersPerDial) {
        this.#counters.add("dht.dialBacks.shared");
        last.waiting.push(done);
        return;
      }
    }
    const { dialBacksAtOnce, dialBacksPerMinute } = dhtLimits;
    const tooMany = this.#running >= dialBacksAtOnce || this.#starts.length >= dialBacksPerMinute;
    if (last !== undefined || tooMany) {
      this.#counters.add("dht.dialBacks.refused");
      done(undefined);
      return;
    }
    this.#dial(source, { to, atMs: nowMs, reached: undefined, waiting: [done] });
  }

  #dial(source: string, dial: Dial): void {
    this.#dials.set(source, dial);
    this.#starts.push(dial.atMs);
    this.#running++;
    this.#counters.add("dht.dialBacks.dialled");
    this.#dialBack.dial(dial.to, (reached) => {
      this.#running--;
      dial.reached = reached;
      this.#counters.add(reached ? "dht.dialBacks.reached" : "dht.dialBacks.failed");
      for (const done of dial.waiting.splice(0)) done(reached);
    });
  }

  #forget(nowMs: number): void {
    this.#starts = this.#starts.filter((atMs) => nowMs - atMs < minute);
    for (const [source, { atMs, reached }] of this.#dials) {
      if (nowMs - atMs < perSourceMs) break;
      // One that has not ended keeps its place: its source gets no second one beside it.
      if (reached !== undefined) this.#dials.delete(source);
    }
  }
}
