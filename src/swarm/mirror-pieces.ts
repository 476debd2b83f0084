/**
 * Single pieces of the mirror: in a crowd what a starving reader needs, or our share of the rest; among
 * two or three, what each gets for the others.
 */
import { mirrorSource, type Core } from "./core.ts";
import type { Flights } from "./flights.ts";
import { MirrorTurns } from "./mirror-turns.ts";

interface Begotten {
  readonly atMs: number;
  readonly begotten: number;
}

export interface Bounds {
  /** Pieces from this one on cannot be kept now. */
  readonly limit: number;
  /** Of peers, so far. */
  readonly keptPieces: number;
}

/** Over such a time it is measured how fast the crowd gets pieces that it had not. */
const paceMs = 1000;

export class MirrorPieces {
  readonly #core: Core;
  readonly #flights: Flights;
  readonly #turns: MirrorTurns;
  readonly #sequential: boolean;
  #restUntilMs = -Infinity;
  #hasFailed = false;
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
    this.#hasFailed = true;
    this.#restUntilMs = clock.monotonicMs() + policy.restMs;
  }

  /** Asks for one, if that is due. */
  ask(crowd: number, bounds: Bounds): void {
    const { clock, counters, mirror, policy } = this.#core;
    const nowMs = clock.monotonicMs();
    if (!mirror.usable || nowMs < this.#restUntilMs || this.#flights.asksMirror) return;
    const isCrowd = crowd > policy.crowd;
    let piece: number | undefined;
    if (isCrowd && !mirror.streaming) piece = this.#wanted(bounds);
    else if (!isCrowd && crowd > 1 && mirror.streaming) piece = this.#behind(bounds);
    if (piece === undefined) return;
    counters.add(isCrowd ? "swarm.mirror.pieces" : "swarm.mirror.piecesBehind");
    this.#flights.begin({ source: mirrorSource, piece, count: 1 });
  }

  /**
   * Beside the stream, one from far behind it, if two or three want the file of a slow mirror: what all
   * of them stream they cannot give each other. Nobody is waited for, and nothing comes that is not
   * needed: whoever is alone after all is no later for it.
   */
  #behind({ limit }: Bounds): number | undefined {
    const { mirror, picker, policy } = this.#core;
    // One that gives no ranges would begin the whole file each time.
    if (!mirror.isSlow || this.#hasFailed) return undefined;
    const { fewest } = policy.mirrorWindow;
    const middle = Math.ceil((picker.next + picker.pieces) / 2);
    const far = picker.unseen(fewest, limit, middle);
    return this.#mine(far.length > 0 ? far : picker.unseen(fewest, limit, picker.next + fewest));
  }

  #mine(pieces: readonly number[]): number | undefined {
    const { book, clock } = this.#core;
    const nowMs = clock.monotonicMs();
    return this.#turns.mine(pieces, {
      nowMs,
      others: () => book.others(nowMs),
      claimed: (piece) => book.isAtMirror(piece, nowMs),
    });
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

  #wanted({ limit, keptPieces }: Bounds): number | undefined {
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
    return this.#mine(unseen);
  }
}
