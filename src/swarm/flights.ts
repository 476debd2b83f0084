/** The requests under way, to peers and to the mirror, and what of them was in vain. */
import { mirrorSource, type Core } from "./core.ts";
import { Flight } from "./flight.ts";
import type { Meter } from "./meter.ts";
import { pieceLength } from "./shape.ts";
import type { PieceRequest } from "./types.ts";

export class Flights {
  readonly #core: Core;
  readonly #all = new Set<Flight>();
  #duplicateBytes = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Those that are under way now; some may end meanwhile. */
  all(): Flight[] {
    return [...this.#all];
  }

  /** When the last bytes came of those under way; -Infinity: none is. */
  get heardMs(): number {
    let last = -Infinity;
    for (const { lastMs } of this.#all) last = Math.max(last, lastMs);
    return last;
  }

  /** undefined: it is over. */
  of(request: PieceRequest): Flight | undefined {
    return request instanceof Flight && this.#all.has(request) ? request : undefined;
  }

  /** Pieces that are got from the mirror one by one. */
  get fromMirror(): readonly number[] {
    const pieces: number[] = [];
    for (const { source, piece } of this.#all) if (source === mirrorSource) pieces.push(piece);
    return pieces;
  }

  get asksMirror(): boolean {
    for (const { source } of this.#all) if (source === mirrorSource) return true;
    return false;
  }

  /** How many pieces are still to come. */
  get pieceCount(): number {
    let count = 0;
    for (const flight of this.#all) count += Math.max(0, flight.count - flight.donePieces);
    return count;
  }

  /** Those pieces. */
  get pieces(): readonly number[] {
    const pieces: number[] = [];
    for (const flight of this.#all) {
      for (let at = flight.donePieces; at < flight.count; at++) pieces.push(flight.piece + at);
    }
    return pieces;
  }

  /** Bytes that were here already, came too late, or will be, as far as that is known. */
  get spareBytes(): number {
    let bytes = this.#duplicateBytes;
    for (const flight of this.#all) {
      const next = flight.piece + flight.donePieces;
      if (this.#core.picker.flights(next) > 1) bytes += flight.leftBytes / 2;
    }
    return bytes;
  }

  begin(request: PieceRequest): Flight {
    const { clock, shape, book, picker, counters, port } = this.#core;
    const nowMs = clock.monotonicMs();
    const flight = new Flight(request, shape, nowMs);
    this.#all.add(flight);
    const peer = book.get(request.source);
    if (peer !== undefined) book.began(peer, flight);
    this.#meterOf(request.source)?.began(nowMs);
    for (let index = 0; index < request.count; index++) picker.took(request.piece + index);
    counters.add("swarm.requests");
    port.fetch(flight);
    return flight;
  }

  progress(flight: Flight, bytes: number): void {
    flight.receivedBytes += bytes;
    flight.lastMs = this.#core.clock.monotonicMs();
    this.#meterOf(flight.source)?.received(bytes, flight.lastMs);
  }

  end(flight: Flight, how: "cancel" | "ended"): void {
    if (!this.#all.delete(flight)) return;
    const { picker, book, mirror, clock, port } = this.#core;
    const first = flight.piece + flight.donePieces;
    for (let piece = first; piece < flight.piece + flight.count; piece++) picker.gaveUp(piece);
    if (flight.looseBytes > 0) this.wasted(flight.looseBytes);
    const peer = book.get(flight.source);
    if (peer !== undefined) book.ended(peer, flight);
    const idle = peer === undefined ? !mirror.streaming : peer.flights.length === 0;
    if (idle) this.#meterOf(flight.source)?.idle(clock.monotonicMs());
    if (how === "cancel") port.cancel(flight);
  }

  /** Others that are asked for the same piece, and nothing else, are not needed any more. */
  endRivals(piece: number, winner: Flight | undefined): void {
    if (this.#core.picker.flights(piece) === 0) return;
    for (const flight of this.all()) {
      if (flight === winner || !flight.covers(piece)) continue;
      // A longer request has other pieces to bring; this one is counted as waste when it comes.
      const last = flight.piece + flight.count - 1;
      if (piece !== last && flight.count > 1) continue;
      this.end(flight, "cancel");
    }
  }

  wasted(bytes: number): void {
    this.#duplicateBytes += bytes;
    this.#core.counters.add("swarm.bytes.duplicate", bytes);
  }

  /** Who is asked for a piece that is asked of one only. */
  holderOf(piece: number): Flight | undefined {
    let holder: Flight | undefined;
    for (const flight of this.#all) if (flight.covers(piece)) holder = flight;
    return holder;
  }

  /** When the piece should be here by this request, at the rate of who was asked. */
  dueMs(flight: Flight, piece: number): number {
    const { clock, book, mirror, policy } = this.#core;
    const nowMs = clock.monotonicMs();
    const peer = book.get(flight.source);
    const rate = peer?.rate(policy, nowMs) ?? mirror.meter.current(nowMs) ?? 1;
    return nowMs + (flight.leftBefore(piece) * 1000) / rate;
  }

  /** When the piece should be here; Infinity: nobody is asked for it. */
  soonestMs(piece: number): number {
    let due = Infinity;
    for (const flight of this.#all) {
      if (flight.covers(piece)) due = Math.min(due, this.dueMs(flight, piece));
    }
    return due;
  }

  /** Those of which nothing has been heard for too long. */
  stalled(): Flight[] {
    const { clock, policy } = this.#core;
    const nowMs = clock.monotonicMs();
    return this.all().filter(({ headMs, lastMs }) => {
      const patienceMs = headMs === undefined ? policy.headPatienceMs : policy.bodyPatienceMs;
      return nowMs - lastMs >= patienceMs;
    });
  }

  /** Bytes of one piece; of all but the last. */
  get pieceBytes(): number {
    return pieceLength(this.#core.shape, 0);
  }

  #meterOf(source: string): Meter | undefined {
    const { mirror, book } = this.#core;
    return source === mirrorSource ? mirror.meter : book.get(source)?.meter;
  }
}
