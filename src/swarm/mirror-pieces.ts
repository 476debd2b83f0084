/** Single pieces of the mirror, in a crowd: what a starving reader needs, or our share of the rest. */
import { mirrorSource, type Core } from "./core.ts";
import type { Flights } from "./flights.ts";
import { MirrorTurns } from "./mirror-turns.ts";

interface Begotten {
  readonly atMs: number;
  readonly begotten: number;
}

/** Over such a time it is measured how fast the crowd gets pieces that it had not. */
const paceMs = 1000;

export class MirrorPieces {
  readonly #core: Core;
  readonly #flights: Flights;
  readonly #turns: MirrorTurns;
  readonly #sequential: boolean;
  #restUntilMs = -Infinity;
  /** How many pieces the crowd had, one to two paces ago and lately. */
  #older: Begotten;
  #newer: Begotten;

  constructor(
    core: Core,
    flights: Flights,
    { ticket, sequential }: { readonly ticket: number; readonly sequential: boolean },
  ) {
    this.#core = core;
    this.#flights = flights;
    this.#turns = new MirrorTurns(ticket);
    this.#sequential = sequential;
    this.#older = this.#newer = { atMs: core.clock.monotonicMs(), begotten: 0 };
  }

  /** The mirror did not give the last one. */
  failed(): void {
    const { counters, clock, policy } = this.#core;
    counters.add("swarm.mirror.piecesFailed");
    this.#restUntilMs = clock.monotonicMs() + policy.restMs;
  }

  /** Asks for one, if that is due. `keptPieces`: of peers, so far. */
  ask(limit: number, keptPieces: number): void {
    const { clock, counters, mirror } = this.#core;
    if (!mirror.usable || clock.monotonicMs() < this.#restUntilMs) return;
    if (this.#flights.asksMirror) return;
    const piece = this.#wanted(limit, keptPieces);
    if (piece === undefined) return;
    counters.add("swarm.mirror.pieces");
    this.#flights.begin({ source: mirrorSource, piece, count: 1 });
  }

  /**
   * So many of the first pieces that nobody has are being got by somebody: as many as the mirror gives
   * while news of them go round, or a small part of a long file. With fewer it is idle meanwhile, with
   * more the first ones come later.
   */
  #window(nowMs: number): number {
    const { picker, policy } = this.#core;
    const { fewest, most, ms, share } = policy.mirrorWindow;
    const begotten = picker.begotten;
    const [older, newer] = [this.#older, this.#newer];
    const perMs = (begotten - older.begotten) / Math.max(paceMs, nowMs - older.atMs);
    if (nowMs - newer.atMs >= paceMs) {
      [this.#older, this.#newer] = [newer, { atMs: nowMs, begotten }];
    }
    const wanted = Math.max(perMs * ms, picker.pieces * share);
    return Math.min(most, Math.max(fewest, Math.ceil(wanted)));
  }

  #wanted(limit: number, keptPieces: number): number | undefined {
    const { clock, picker, mirror, book } = this.#core;
    const nowMs = clock.monotonicMs();
    const unseen = picker.unseen(this.#window(nowMs), limit);
    const busy = (): boolean => {
      const { tickets, unknown } = book.others(nowMs);
      // Of a crowd that has just come together nobody knows yet what it does.
      return unknown > tickets.length || unseen.some((piece) => book.isAtMirror(piece, nowMs));
    };
    if (this.#sequential && mirror.starves(nowMs, keptPieces, busy())) {
      // Somebody else may be getting it: then it will be here in a moment, but not much later.
      const other = !mirror.starvesLong(nowMs) && book.isAtMirror(picker.next, nowMs);
      return other ? undefined : picker.next;
    }
    if (!mirror.mayAskPieces(nowMs)) return undefined;
    return this.#turns.mine(unseen, {
      nowMs,
      others: () => book.others(nowMs),
      claimed: (piece) => book.isAtMirror(piece, nowMs),
    });
  }
}
