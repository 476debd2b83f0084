/**
 * Looks for peers of one file as long as it comes. Those who begin in the same moment know nothing of
 * each other in it: so the neighbours are asked again soon, and the DHT now and then. In a large crowd
 * that ends soon: its members name each other, and questions of everybody to everybody would cost
 * more than the file.
 */
import { limits } from "../base/limits.ts";
import type { Clock, Random } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { second } from "../base/units.ts";
import type { FindEvents, Finder } from "./finder.ts";

/** Pauses between the rounds; the last one is repeated. */
const pausesMs = [second / 4, second, 2 * second, 5 * second];
/** As long as somebody has answered they grow to this: who comes later asks us, or is named by others. */
const mostPauseMs = 40 * second;
/** Every so many rounds the DHT is asked as well. */
const dhtRounds = 4;
/** With so many that have answered for the file nobody else is looked for: nobody watches more. */
export const enoughPeers = 16;

export interface SearchParts {
  readonly finder: Finder;
  readonly clock: Clock;
  readonly random: Random;
  /** How many have answered for the file so far. */
  readonly answering: () => number;
}

export class Search {
  readonly #parts: SearchParts;
  readonly #sha256: Sha256;
  readonly #sizeBytes: number;
  readonly #events: FindEvents;
  #round = 0;
  #finds = 0;
  #askedMs = 0;
  /** Between two rounds while somebody answers. */
  #growingMs = 0;
  /** Of the last rounds; what is older has ended. */
  readonly #cancels: (() => void)[] = [];
  #cancelTimer: () => void = () => undefined;

  constructor(parts: SearchParts, sha256: Sha256, sizeBytes: number, events: FindEvents) {
    this.#parts = parts;
    this.#sha256 = sha256;
    this.#sizeBytes = sizeBytes;
    this.#events = events;
  }

  start(): void {
    this.#find(this.#events.done);
  }

  cancel(): void {
    this.#cancelTimer();
    for (const cancel of this.#cancels) cancel();
  }

  #find(done: () => void): void {
    const { finder, clock } = this.#parts;
    this.#askedMs = clock.monotonicMs();
    const where = this.#finds % dhtRounds === 0 ? undefined : "near";
    const again = this.#finds > 0;
    this.#finds++;
    const events = { ...this.#events, done };
    const search = finder.find(this.#sha256, this.#sizeBytes, events, { where, again });
    this.#cancels.push(() => search.cancel());
    if (this.#cancels.length > dhtRounds) this.#cancels.shift();
    // A short file is over before anybody else could be found.
    if (this.#sizeBytes > limits.pieceBytes) this.#findLater();
  }

  /** A look-up that is still under way then goes on to its end. */
  #findLater(): void {
    const { clock, random, answering } = this.#parts;
    const pauseMs = pausesMs[Math.min(this.#round, pausesMs.length - 1)] ?? second;
    this.#round++;
    this.#cancelTimer = clock.after(pauseMs * (0.75 + random.next() / 2), () => {
      const found = answering();
      const sinceMs = clock.monotonicMs() - this.#askedMs;
      if (found < enoughPeers && (found === 0 || sinceMs >= this.#growingMs)) {
        this.#growingMs = found === 0 ? 0 : Math.min(mostPauseMs, 2 * sinceMs);
        this.#find(() => undefined);
      } else this.#findLater();
    });
  }
}
