/** One file that neighbours are asked about: who has been named, who has still to answer. */
import type { Clock } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { PeerInfo } from "../swarm/types.ts";
import { answerMs } from "./neighbour.ts";

export interface NeighbourEvents {
  readonly peers: (peers: readonly PeerInfo[]) => void;
  /** Called once, later: nobody who answers late is waited for. */
  readonly done: () => void;
}

/** The search goes on to the last answer, which may still name somebody when nobody waits for it. */
export class NeighbourSearch {
  readonly sha256: Sha256;
  readonly #events: NeighbourEvents;
  readonly #over: () => void;
  readonly #cancelTimer: () => void;
  readonly #named = new Map<string, PeerInfo["state"]>();
  #outstanding = 0;
  #waitedFor = 0;
  #done = false;
  #running = true;

  constructor(clock: Clock, sha256: Sha256, events: NeighbourEvents, over: () => void) {
    this.sha256 = sha256;
    this.#events = events;
    this.#over = over;
    this.#cancelTimer = clock.after(answerMs, () => this.#finish());
  }

  get running(): boolean {
    return this.#running;
  }

  /** Another answer is to come, and may be waited for; to be called once, when it is here. */
  expect(waited = true): () => void {
    this.#outstanding++;
    if (waited) this.#waitedFor++;
    return () => {
      if (waited && --this.#waitedFor === 0) this.#finish();
      if (--this.#outstanding === 0) this.end();
    };
  }

  /** Tells of those that were not told of yet → whether there were any. */
  name(peers: readonly PeerInfo[]): boolean {
    if (!this.#running) return false;
    const fresh = peers.filter(({ endpoint, state }) => {
      const before = this.#named.get(endpoint.text);
      return before === undefined || (before === "unknown" && state === "whole");
    });
    for (const { endpoint, state } of fresh) this.#named.set(endpoint.text, state);
    if (fresh.length > 0) this.#events.peers(fresh);
    return fresh.length > 0;
  }

  /** Nobody wants to know any more. */
  end(): void {
    this.#running = false;
    this.#cancelTimer();
    this.#over();
  }

  #finish(): void {
    if (this.#done || !this.#running) return;
    this.#done = true;
    this.#cancelTimer();
    this.#events.done();
  }
}
