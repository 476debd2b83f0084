/**
 * When the mirror is asked. It is the safety net: never later than apt alone would have asked it by
 * more than a moment, and spared as soon as peers do as well.
 *
 * - Alone, or with up to three members: a stream in order, from the start or after a short wait for
 *   peers who are expected; it ends when peers are about as fast, and comes back when they are not.
 *   Beside it each of two or three gets other pieces of a slow mirror, which they give each other.
 * - In a crowd of n: single pieces that nobody has, each by one member (mirror-turns.ts); the stream
 *   only for the first bytes, for a sip before a reader's silence grows long, and for good when the
 *   crowd has brought nothing in the time that the mirror alone would have needed for a piece.
 */
import { limits } from "../base/limits.ts";
import type { Random } from "../base/ports.ts";
import { Meter } from "./meter.ts";
import type { TransferPolicy } from "./policy.ts";

/** What the decision is made on. */
export interface MirrorView {
  readonly nowMs: number;
  /** Next byte that is not here in order, and where it stood at the start. */
  readonly position: number;
  readonly startPosition: number;
  /** Whether the byte at `position` is in a piece that is held. */
  readonly nextHeld: boolean;
  /** Members of the swarm, ourselves included. */
  readonly crowd: number;
  /** A peer can send something that is missing, or is about to say so. */
  readonly hope: boolean;
  /** Peers may still be named. */
  readonly searching: boolean;
  /** Bytes a second of all peers together; undefined before a piece of theirs was kept. */
  readonly peersRate: number | undefined;
  /** When the next piece in order should be here, by the request for it; Infinity: nobody is asked. */
  readonly nextDueMs: number;
  /** Another piece in order follows from a peer: the stream may end at the next boundary. */
  readonly atBoundary: boolean;
}

export class MirrorUse {
  readonly #policy: TransferPolicy;
  readonly #startedMs: number;
  readonly #patienceMs: number;
  /**
   * Many neighbours may want the same just now, and nobody knows yet: the first request is for the
   * first bytes alone. The next one comes a round trip later, so the wait before it is shorter.
   */
  readonly #tastesFirst: boolean;
  readonly meter = new Meter();
  #usable: boolean;
  #bestRate: number | undefined;
  #streaming = false;
  #streamedFrom = 0;
  #streamBytes: number | undefined;
  readonly #piecesFromMs: number;
  #progressMs: number;
  /** When something else than the mirror's stream last brought the reader on. */
  #fedMs: number;
  #position: number;
  readonly #starvedMs: number;
  readonly #sipMs: number;
  #probed = false;
  #impatient = false;
  #starvedAt: { readonly keptPieces: number; readonly position: number } | undefined;

  constructor(
    { policy, random }: { readonly policy: TransferPolicy; readonly random: Random },
    start: {
      readonly nowMs: number;
      readonly position: number;
      readonly patienceMs: number;
      readonly usable: boolean;
      readonly knownRate: number | undefined;
      readonly manyNear: boolean;
    },
  ) {
    this.#bestRate = start.knownRate;
    this.#policy = policy;
    this.#startedMs = start.nowMs;
    this.#progressMs = start.nowMs;
    this.#fedMs = start.nowMs;
    this.#position = start.position;
    this.#tastesFirst = start.manyNear && start.patienceMs > 0;
    const mostMs = this.#tastesFirst ? policy.firstByteMs : Infinity;
    this.#patienceMs = Math.min(start.patienceMs, mostMs);
    this.#usable = start.usable;
    this.#piecesFromMs = start.nowMs + policy.crowdMs;
    // Readers of one crowd shall not all lose patience at once.
    this.#starvedMs = policy.crowdStarvedMs * (1 + random.next());
    this.#sipMs = policy.silenceMs * (0.6 + 0.2 * random.next());
  }

  /**
   * What it can give, bytes a second, at the best that was seen: beside peers on one link it seems to
   * be slower than it is.
   */
  get bestRate(): number | undefined {
    return this.#bestRate;
  }

  /** Whether it is worth sharing even among two. */
  get isSlow(): boolean {
    return this.#bestRate !== undefined && this.#bestRate < this.#policy.slowMirrorRate;
  }

  get usable(): boolean {
    return this.#usable;
  }

  get streaming(): boolean {
    return this.#streaming;
  }

  /**
   * How many bytes of the stream are wanted; undefined: nobody knows yet. What is asked for without an
   * end fills the mirror's link long after it has been cut off: it sends what lies ready.
   */
  get streamBytes(): number | undefined {
    return this.#streamBytes;
  }

  /** It cannot give the file. */
  failed(): void {
    this.#usable = false;
    this.#streaming = false;
  }

  /** Whether the stream shall run now. */
  decide(view: MirrorView): boolean {
    if (view.position > this.#position) {
      this.#position = view.position;
      this.#progressMs = view.nowMs;
      if (!this.#streaming) this.#fedMs = view.nowMs;
    }
    const wanted = this.#usable && !view.nextHeld && this.#wanted(view);
    if (wanted && !this.#streaming) {
      this.#streamedFrom = view.position;
      this.meter.began(view.nowMs);
    }
    const tastes = this.#tastes(view) || this.#mayBeCrowd(view);
    this.#streamBytes = tastes ? this.#enoughBytes(view) : undefined;
    if (!wanted && this.#streaming) this.meter.idle(view.nowMs);
    const { rate } = this.meter;
    if (rate !== undefined && rate > (this.#bestRate ?? 0)) this.#bestRate = rate;
    this.#streaming = wanted;
    return wanted;
  }

  /**
   * Whether a reader in a crowd has waited so long that its next piece must come from the mirror,
   * whatever the draw says. A crowd that has given nothing by then, or since the last time, is none: the
   * mirror's stream does the rest. `busy`: members say that they are getting what is missing.
   */
  starves(nowMs: number, keptPieces: number, busy: boolean): boolean {
    if (!this.#usable || this.#hungryMs(nowMs, busy) < this.#crowdPatienceMs(busy)) return false;
    const before = this.#starvedAt;
    if (before?.position === this.#position) return true;
    if ((before?.keptPieces ?? 0) === keptPieces) this.#impatient = true;
    this.#starvedAt = { keptPieces, position: this.#position };
    return true;
  }

  /** Whether it has waited even for what another member said that it was getting. */
  starvesLong(nowMs: number): boolean {
    const patienceMs = this.#crowdPatienceMs(true) + this.#policy.claimedMs;
    return this.#hungryMs(nowMs, true) >= patienceMs;
  }

  /** Sips do not feed: whoever only says to be getting pieces could else keep a reader at them. */
  #hungryMs(nowMs: number, busy: boolean): number {
    return nowMs - (busy ? this.#fedMs : this.#progressMs);
  }

  /**
   * For how long it is left to the crowd to feed a reader. Where members are getting something, twice
   * what the mirror needs for the pieces of all of them, by what it gave last: a mirror that is slow
   * because all are asking it is slower still when nobody waits for the others any more.
   */
  #crowdPatienceMs(busy: boolean): number {
    const { mostCrowdPatienceMs, mirrorWindow } = this.#policy;
    const { rate } = this.meter;
    if (!busy || rate === undefined) return this.#starvedMs;
    const piecesMs = (2 * mirrorWindow.fewest * limits.pieceBytes * 1000) / rate;
    return Math.max(this.#starvedMs, Math.min(mostCrowdPatienceMs, piecesMs));
  }

  /** Until it must be decided again, whatever happens; at least 1. Apt notices each millisecond. */
  dueInMs(nowMs: number): number {
    const waitedMs = nowMs - this.#startedMs;
    const times = [this.#patienceMs, this.#policy.firstByteMs].filter((ms) => ms > waitedMs);
    return Math.max(1, Math.ceil(Math.min(...times) - waitedMs));
  }

  /** Whether the crowd has had time to be known: those who begin together see few at first. */
  mayAskPieces(nowMs: number): boolean {
    return this.#usable && nowMs >= this.#piecesFromMs;
  }

  #wanted(view: MirrorView): boolean {
    const { nowMs, hope, searching } = view;
    if (nowMs - this.#startedMs < this.#patienceMs && (hope || searching)) return false;
    if (!hope) return true;
    const first = view.position === view.startPosition;
    if (first && nowMs - this.#startedMs >= this.#policy.firstByteMs) return true;
    return this.#isCrowd(view) ? this.#inCrowd(view) : this.#amongFew(view);
  }

  #isCrowd({ crowd }: MirrorView): boolean {
    return crowd > this.#policy.crowd;
  }

  /** Whether it is too soon to know. */
  #mayBeCrowd({ position, startPosition, hope, searching }: MirrorView): boolean {
    return this.#tastesFirst && position === startPosition && (hope || searching);
  }

  /** Whether a stream would only be for a few bytes. */
  #tastes(view: MirrorView): boolean {
    return view.hope && this.#isCrowd(view) && !this.#impatient;
  }

  /** In a crowd, of a stream: the first bytes or a sip. */
  #enoughBytes({ startPosition }: MirrorView): number {
    const { tasteBytes, sipBytes } = this.#policy;
    return this.#streamedFrom === startPosition ? tasteBytes : sipBytes;
  }

  #inCrowd(view: MirrorView): boolean {
    if (this.#impatient) this.#impatient = this.#amongFew(view);
    if (this.#impatient) return true;
    if (this.#streaming) return view.position - this.#streamedFrom < this.#enoughBytes(view);
    // The reader must hear something now and then, and we how fast the mirror is by now.
    return view.nowMs - this.#progressMs >= this.#sipMs;
  }

  #amongFew(view: MirrorView): boolean {
    const { nowMs, peersRate, nextDueMs } = view;
    const mirrorRate = this.#bestRate;
    if (peersRate === undefined) return this.#streaming || this.#overdue(view);
    if (this.#streaming) {
      const enough = peersRate >= this.#policy.enoughShare * (mirrorRate ?? Infinity);
      // Where the stream stands in a piece that a peer is about to bring, there is nothing to end.
      return !(enough && view.atBoundary);
    }
    if (mirrorRate !== undefined) {
      return peersRate < this.#policy.enoughShare * mirrorRate || this.#overdue(view);
    }
    if (peersRate < this.#policy.modestRate && !this.#probed && nextDueMs > nowMs) {
      this.#probed = true;
      return true;
    }
    return this.#overdue(view);
  }

  /** The reader waits for longer than the request for its next piece should take. */
  #overdue({ nowMs, nextDueMs }: MirrorView): boolean {
    const waitedMs = nowMs - this.#progressMs;
    const dueMs = Math.min(1000, Math.max(0, (nextDueMs - this.#progressMs) * 1.5) + 150);
    return waitedMs >= Math.max(this.#policy.firstByteMs, dueMs);
  }
}
