/** The mirror of a simulated swarm: in-order streams and ranges, and what it gave to whom. */
import { pieceEnd, pieceLength, pieceStart } from "../../swarm/shape.ts";
import type { PieceRequest } from "../../swarm/types.ts";
import { Host, Stream, type StreamEvents } from "./links.ts";
import type { MirrorPlan } from "./plan.ts";
import type { Machine, MirrorAnswer, Setting } from "./setting.ts";

/** A stream that is ended at once has not sent much: TCP begins with 14 KB. */
const quantumBytes = 16 * 1024;

export class SimMirror {
  readonly host: Host;
  /** When each request came. */
  readonly requestsMs: number[] = [];
  /** Pieces by range, as often as each was sent whole. */
  readonly pieces: Uint16Array;
  /** Bytes that reached somebody, by streams and by ranges. */
  streamBytes = 0;
  rangeBytes = 0;
  readonly #world: Setting;
  readonly #plan: MirrorPlan;

  constructor(world: Setting, plan: MirrorPlan) {
    this.#world = world;
    this.#plan = plan;
    this.host = new Host(world.clock, { up: plan.up, down: plan.up }, quantumBytes);
    this.pieces = new Uint16Array(world.shape.pieces);
  }

  /** Sends on from where the member stands. */
  stream(member: Machine): MirrorAnswer {
    const bytes = this.#world.shape.sizeBytes - member.position;
    return this.#answer(member, bytes, {
      head: () => undefined,
      arrived: (count) => {
        this.streamBytes += count;
        member.streamed(count);
      },
    });
  }

  range(member: Machine, request: PieceRequest): MirrorAnswer {
    const { shape } = this.#world;
    const end = request.piece + request.count;
    let [got, piece] = [0, request.piece];
    const answer = this.#answer(member, pieceEnd(shape, end - 1) - pieceStart(piece), {
      head: () => void member.transfer?.offered(request, {}),
      arrived: (count) => {
        this.rangeBytes += count;
        member.transfer?.progress(request, count);
        got += count;
        while (piece < end && got >= pieceLength(shape, piece)) {
          got -= pieceLength(shape, piece);
          this.pieces[piece] = (this.pieces[piece] ?? 0) + 1;
          member.gotPiece(request, piece, "true");
          piece++;
        }
        if (piece === end) member.gotAll(request);
      },
    });
    return answer;
  }

  #answer(
    member: Machine,
    bytes: number,
    events: { readonly head: () => void } & StreamEvents,
  ): MirrorAnswer {
    const { clock } = this.#world;
    const { latencyMs, serviceMs } = this.#plan;
    const stream = new Stream(this.host, member.host, latencyMs, events);
    const none = (): void => undefined;
    let cancelNext: () => void = none;
    clock.after(latencyMs, () => {
      if (!stream.cancelled) this.requestsMs.push(clock.monotonicMs());
    });
    cancelNext = clock.after(latencyMs + serviceMs, () => {
      stream.put(bytes);
      cancelNext = clock.after(latencyMs, () => events.head());
    });
    return {
      cancel: () => {
        cancelNext();
        stream.cancel();
      },
    };
  }
}
