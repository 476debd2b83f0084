/** What a transfer is told, and what an answer's head tells it. */
import type { Counters } from "../base/counters.ts";
import type { Endpoint } from "../base/endpoint.ts";
import type { Clock, Random } from "../base/ports.ts";
import type { Digest } from "./piece-lists.ts";
import type { PieceMap } from "./piece-map.ts";
import type { TransferPolicy } from "./policy.ts";
import type { TransferPort } from "./ports.ts";
import type { Load } from "./types.ts";

export interface TransferParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
  readonly port: TransferPort;
  readonly policy?: TransferPolicy;
}

export interface TransferPlan {
  /** Of the file, 64 hexadecimal digits: what the only piece of a small one must be. */
  readonly sha256: Digest;
  readonly sizeBytes: number;
  /** Whether there is a mirror that has it. */
  readonly mirror: boolean;
  /** Bytes that are here already, in order from 0. */
  readonly position?: number;
  /** Pieces beyond that are here as well, from an earlier run. */
  readonly ahead?: readonly number[];
  /** Pieces beyond the next missing one that can be kept. */
  readonly lookaheadPieces?: number;
  /** How long the mirror may wait for peers at the start. */
  readonly patienceMs: number;
  /** There are neighbours enough for a crowd. */
  readonly manyNear?: boolean;
  /** Bytes a second that this mirror has given before, if it has. */
  readonly mirrorRate?: number | undefined;
  /** A reader wants it in order. */
  readonly sequential: boolean;
  /** False: this one is not to be asked, whoever names it. */
  readonly admits?: ((peer: Endpoint) => boolean) | undefined;
}

export interface Offer {
  readonly load?: Load | undefined;
  /** SHA-256 of the pieces that come, as the peer says. */
  readonly claims?: readonly Digest[] | undefined;
  readonly have?: PieceMap | undefined;
  /** What a seed has given. */
  readonly sown?: PieceMap | undefined;
}
