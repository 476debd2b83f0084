/** When a peer is asked for its state; what follows if it was busy, failed or lied: a pause, or the end. */
import type { Deliveries } from "./blame.ts";
import type { Core } from "./core.ts";
import type { Flight } from "./flight.ts";
import type { Flights } from "./flights.ts";
import type { Peer } from "./peer.ts";
import type { Digest } from "./piece-lists.ts";
import type { PieceMap } from "./piece-map.ts";
import { pieceLength } from "./shape.ts";
import type { Failure } from "./types.ts";

/** After so many in a row a peer rests: others are always sooner, or it does not mean what it says. */
const mostRefusals = 3;

export class PeerCare {
  readonly #core: Core;
  readonly #flights: Flights;
  readonly #deliveries: Deliveries;

  constructor(core: Core, flights: Flights, deliveries: Deliveries) {
    this.#core = core;
    this.#flights = flights;
    this.#deliveries = deliveries;
  }

  /** Asks those that are due for their state, and for their lists of pieces if those are wanted. */
  askAround(lists: boolean): void {
    const { port, book, policy, clock } = this.#core;
    const nowMs = clock.monotonicMs();
    for (const peer of book.toAsk(nowMs)) {
      peer.asking = true;
      peer.askedAtMs = nowMs;
      const seen = peer.count;
      // Most questions are for news; whom it knows changes slowly, and costs most of an answer.
      const names = nowMs - peer.namedMs >= policy.namesMs;
      if (names) peer.namedMs = nowMs;
      port.askState(peer.key, {
        ...{ seen, names, waitMs: seen === undefined ? 0 : policy.watchWaitMs },
        everyMs: peer.have === "whole" ? undefined : book.newsEveryMs,
      });
    }
    if (!lists) return;
    for (const peer of book.toAskForList(nowMs)) {
      peer.list = "asked";
      port.askList(peer.key);
    }
  }

  /** It is out of this transfer. */
  drop(peer: Peer, why: string): void {
    if (peer.dropped) return;
    this.#core.counters.add(`swarm.peers.dropped.${why}`);
    this.#deliveries.dropped(peer.key, why);
    peer.droppedFor = why;
    for (const flight of [...peer.flights]) this.#flights.end(flight, "cancel");
    this.#core.book.drop(peer);
  }

  /**
   * What is believed has changed: who is out because it said something else is asked again, and who
   * sent something else, unless that is as wrong as before. `expected`: what a piece should be now.
   */
  reconsider(expected: (piece: number) => Digest | undefined): void {
    const { book, counters } = this.#core;
    for (const peer of book.all()) {
      const { dropped, droppedFor, refused } = peer;
      if (!dropped || !(droppedFor === "claim" || droppedFor === "piece")) continue;
      if (droppedFor === "piece" && refused === undefined) continue;
      const should = refused === undefined ? undefined : expected(refused.piece);
      if (should !== undefined && should !== refused?.digest) continue;
      counters.add("swarm.peers.restored");
      this.#deliveries.restored(peer.key);
      book.restore(peer);
    }
  }

  failed(peer: Peer, failure: Failure): void {
    peer.failures++;
    const never = peer.keptPieces === 0 && peer.answeredMs === undefined;
    if (failure.kind === "wrong") this.drop(peer, "wrong");
    else if (peer.failures > (never ? 1 : 2)) this.drop(peer, "broken");
    else this.rest(peer, this.#core.policy.restMs * peer.failures);
  }

  /** It sent something else than is believed: it is out. */
  blame(flight: Flight, piece: number, digest: Digest): void {
    const { counters, book, shape } = this.#core;
    counters.add("swarm.pieces.refused");
    counters.add("swarm.bytes.refused", pieceLength(shape, piece));
    // Its bytes have been counted.
    flight.donePieces = Math.max(flight.donePieces, piece - flight.piece + 1);
    this.#flights.end(flight, "cancel");
    const peer = book.get(flight.source);
    if (peer === undefined) return;
    // Who sends something else than it says itself is no victim of another's list.
    const claim = flight.claims[piece - flight.piece] ?? digest;
    if (claim === digest) peer.refused = { piece, digest };
    this.drop(peer, "piece");
  }

  /** It had given before what was asked of it: something else of it will do, at once if it said what. */
  refused(peer: Peer, sown: PieceMap | undefined): void {
    const { counters, book } = this.#core;
    counters.add("swarm.requests.sown");
    if (sown !== undefined) book.toldSown(peer, sown);
    if (sown === undefined || ++peer.refusals > mostRefusals) this.rest(peer, undefined);
  }

  /** It is not asked for pieces for about so long. */
  rest(peer: Peer, forMs: number | undefined): void {
    const { counters, policy, random, clock } = this.#core;
    counters.add("swarm.peers.rested");
    const pauseMs = Math.max(policy.busyRestMs, forMs ?? 0) * (0.5 + random.next());
    peer.restUntilMs = clock.monotonicMs() + pauseMs;
  }
}
