/**
 * Looks for peers of one file as long as it comes. Those who begin in the same moment know nothing of
 * each other in it: so the neighbours are asked again soon, and the DHT now and then.
 */
import { limits } from "../base/limits.ts";
import type { Clock, Random } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { second } from "../base/units.ts";
import type { FindEvents, Finder } from "./finder.ts";

/** Pauses between the rounds; the last one is repeated. */
const pausesMs = [second / 4, second, 2 * second, 5 * second];
/** Every so many rounds the DHT is asked as well. */
const dhtRounds = 4;

export class Search {
  readonly #parts: { readonly finder: Finder; readonly clock: Clock; readonly random: Random };
  readonly #sha256: Sha256;
  readonly #sizeBytes: number;
  readonly #events: FindEvents;
  #round = 0;
  /** Of the last rounds; what is older has ended. */
  readonly #cancels: (() => void)[] = [];
  #cancelTimer: () => void = () => undefined;

  constructor(
    parts: { readonly finder: Finder; readonly clock: Clock; readonly random: Random },
    sha256: Sha256,
    sizeBytes: number,
    events: FindEvents,
  ) {
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
    const { finder, clock, random } = this.#parts;
    const where = this.#round % dhtRounds === 0 ? undefined : "near";
    const search = finder.find(this.#sha256, this.#sizeBytes, { ...this.#events, done }, where);
    this.#cancels.push(() => search.cancel());
    if (this.#cancels.length > dhtRounds) this.#cancels.shift();
    // A short file is over before anybody else could be found.
    if (this.#sizeBytes <= limits.pieceBytes) return;
    const pauseMs = pausesMs[Math.min(this.#round, pausesMs.length - 1)] ?? second;
    this.#round++;
    // A look-up that is still under way then goes on to its end.
    this.#cancelTimer = clock.after(pauseMs * (0.75 + random.next() / 2), () =>
      this.#find(() => undefined),
    );
  }
}
