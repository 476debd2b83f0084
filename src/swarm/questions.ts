/**
 * Whose state is asked for, and when: strangers once, unfinished peers again and again for news, and a
 * few whole ones for whom else they know. Peers are looked through only when somebody is due.
 */
import { limits } from "../base/limits.ts";
import type { Random } from "../base/ports.ts";
import type { Peer } from "./peer.ts";
import type { TransferPolicy } from "./policy.ts";
import { sampleOf } from "./sample.ts";

/** Files of fewer pieces are over before others would matter. */
const exchangePieces = 4;
/** Whole peers are asked whom else they know; so many, so often. */
const askedWhole = 2;
const askedWholeMs = 2000;

/** Peers that are due within so long are asked together: there are many, at any moment another one. */
const togetherMs = 20;

/** Where so many pieces take longer than the pause, it is up to twice as long: there is less to tell. */
const newsPieces = 4;

const nobody: readonly Peer[] = [];

interface QuestionsParts {
  readonly policy: TransferPolicy;
  readonly random: Random;
}

/** How many more may be asked now. */
interface Room {
  strangers: number;
  members: number;
  whole: number;
}

export class Questions {
  readonly #policy: TransferPolicy;
  readonly #random: Random;
  readonly #whole: number;
  /** Nobody is due before, unless something happens. */
  #dueMs = -Infinity;
  #earliestMs = -Infinity;
  /** More would be asked if fewer were being asked. */
  #full = false;
  /** Between two questions to one member. */
  #pauseMs: number;

  constructor({ policy, random }: QuestionsParts, pieces: number) {
    [this.#policy, this.#random] = [policy, random];
    this.#pauseMs = policy.watchPauseMs;
    this.#whole = pieces <= exchangePieces ? 0 : askedWhole;
  }

  get everyMs(): number {
    return Math.round(this.#pauseMs);
  }

  /** Others are there than before, or they are something else. */
  changed(): void {
    this.#dueMs = -Infinity;
  }

  /** A peer has answered; after a pause it is asked again. */
  answered({ askedAtMs }: Peer): void {
    if (this.#full || askedAtMs === undefined) this.changed();
    else this.#later(askedAtMs + this.#pauseMs);
  }

  /**
   * Of these, in the order in which they are to be asked. `rate`: of all peers together, bytes a second;
   * undefined: it is not known yet.
   */
  due(peers: readonly Peer[], nowMs: number, rate: number | undefined): readonly Peer[] {
    if (nowMs < this.#dueMs) return nobody;
    [this.#dueMs, this.#full, this.#earliestMs] = [Infinity, false, nowMs + togetherMs];
    const room = this.#room(peers, rate);
    const [strangers, members, whole]: [Peer[], Peer[], Peer[]] = [[], [], []];
    for (const peer of peers) {
      if (peer.asking) continue;
      if (nowMs < peer.restUntilMs) this.#later(peer.restUntilMs);
      else if (peer.have === undefined) this.#stranger(peer, room, strangers);
      else if (peer.have === "whole") {
        if (room.whole-- > 0 && this.#isDue(peer, askedWholeMs, nowMs)) whole.push(peer);
      } else if (this.#isDue(peer, this.#pauseMs, nowMs)) {
        members.push(peer);
      }
    }
    if (members.length > room.members) {
      this.#full = true;
      // Not the first ones: they would be first for everybody, and nobody would hear what others have.
      sampleOf(members, room.members, this.#random);
    }
    return [...strangers, ...members, ...whole];
  }

  #room(peers: readonly Peer[], rate: number | undefined): Room {
    const { askedAtOnce, watchedPeers, watchPauseMs, newsPeers } = this.#policy;
    const room = { strangers: askedAtOnce, members: watchedPeers, whole: this.#whole };
    let members = 0;
    for (const { asking, have } of peers) {
      if (typeof have === "object") members++;
      if (!asking) continue;
      if (have === undefined) room.strangers--;
      else room.members--;
    }
    const pieceMs = rate === undefined ? 0 : (limits.pieceBytes * 1000) / rate;
    const easyMs = Math.max(watchPauseMs, Math.min(2 * watchPauseMs, newsPieces * pieceMs));
    this.#pauseMs = Math.max(easyMs, (watchPauseMs * members) / newsPeers);
    return room;
  }

  #stranger(peer: Peer, room: Room, chosen: Peer[]): void {
    if (room.strangers-- <= 0) this.#full = true;
    else chosen.push(peer);
  }

  #isDue({ askedAtMs = -Infinity }: Peer, pauseMs: number, nowMs: number): boolean {
    if (nowMs - askedAtMs >= pauseMs) return true;
    this.#later(askedAtMs + pauseMs);
    return false;
  }

  #later(dueMs: number): void {
    this.#dueMs = Math.min(this.#dueMs, Math.max(dueMs, this.#earliestMs));
  }
}
