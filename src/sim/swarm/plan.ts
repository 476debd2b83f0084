/** What a simulated swarm is made of. */
import type { TransferPolicy } from "../../swarm/policy.ts";
import type { UploadLimits } from "../../swarm/upload-gate.ts";
import type { HostRates } from "./links.ts";

/**
 * What is wrong with a peer.
 * - `deaf`: nothing gets through to it, as behind a NAT. `busy`: it says so to everybody for ever.
 * - `stalls`: it begins to answer and then sends nothing. `leaves`: it cuts off its first upload.
 * - `bytes`: it sends something else than it says. `list`: its list of pieces is wrong, and its claims.
 * - `consistent`: pieces, claims and list are those of another file.
 */
export type Trouble = "deaf" | "busy" | "stalls" | "leaves" | "bytes" | "list" | "consistent";

export interface MemberPlan extends HostRates {
  /** When it begins; a seed is there from the start. */
  readonly startMs: number;
  /** It has the file. */
  readonly seed?: boolean;
  /** apt reads in order; an image comes as it may. */
  readonly sequential: boolean;
  readonly limits?: Partial<UploadLimits>;
  /** Leaves when it has all. */
  readonly leaves?: boolean;
  /** It is not there any more from then on. */
  readonly crashMs?: number;
  readonly trouble?: Trouble | undefined;
  /** Uploads to others, without end, that take its slots and its uplink. */
  readonly background?: number;
  /** It tells that it is idle, whatever it does. */
  readonly claimsIdle?: boolean;
}

export interface DhtModel {
  /** Times from which is drawn when the first value is there, and when the look-up is over. */
  readonly firstMs: readonly number[];
  readonly doneMs: readonly number[];
  /** From the start, or the end, of a download until it is known. */
  readonly publishMs: number;
}

export interface MirrorPlan {
  /** Bytes a second. */
  readonly up: number;
  /** From a request to its answer's head, without the way. */
  readonly serviceMs: number;
  /** One way. */
  readonly latencyMs: number;
}

/** How far a run has come. */
export interface Progress {
  /** Of virtual time. */
  readonly nowMs: number;
  /** Pieces that are where they were wanted, of so many. */
  readonly pieces: number;
  readonly wanted: number;
  /** Members that are still downloading, or will. */
  readonly left: number;
}

export interface SwarmPlan {
  readonly seed: number;
  readonly sizeBytes: number;
  readonly members: readonly MemberPlan[];
  readonly mirror?: MirrorPlan | undefined;
  /** One way, between two members. */
  readonly latencyMs: (a: number, b: number) => number;
  readonly quantumBytes: number;
  readonly patienceMs: number;
  /** `lan`: everybody is a neighbour. */
  readonly finding: "lan" | DhtModel;
  readonly policy?: Partial<TransferPolicy>;
  /** Told now and then in the course of a long run. */
  readonly watch?: ((progress: Progress) => void) | undefined;
  /** No swarm: everybody asks the mirror alone. */
  readonly direct?: boolean;
}
