/** A file in order from its swarm: pieces as they are there, and between them the mirror's stream. */
import { AptP2pError } from "../base/errors.ts";
import { pieceStart } from "../swarm/shape.ts";
import type { SwarmSession } from "./swarm-session.ts";

/** What the download does for it. */
export interface Intake {
  /** Bytes that are here in order. */
  readonly position: () => number;
  /** Bytes of peers are about to be put: the client gets its answer's head. */
  readonly begin: () => void;
  readonly put: (chunk: Buffer) => void;
  /** A piece that was put aside; undefined: it is not there any more. */
  readonly aside: (piece: number) => Promise<Buffer | undefined>;
  readonly full: () => boolean;
  readonly room: () => Promise<void>;
  /** Nobody waits any more. */
  readonly ended: () => boolean;
  /** The mirror's bytes as long as the swarm wants them → false: they are not of this file. */
  readonly stream: () => Promise<boolean>;
}

/** False: only the mirror is left, for all that is missing. Rejects CLOSED when nobody waits. */
export async function takeFromSwarm(
  session: SwarmSession,
  sizeBytes: number,
  intake: Intake,
): Promise<boolean> {
  while (intake.position() < sizeBytes) {
    const step = await session.next(intake.position());
    if (intake.ended()) throw new AptP2pError("CLOSED", "nobody waits any more");
    if (step.kind === "none") return false;
    if (step.kind === "mirror") {
      if (await intake.stream()) continue;
      return true;
    }
    intake.begin();
    if (step.kind === "chunks") for (const chunk of step.chunks) intake.put(chunk);
    else await takeAside(session, step.piece, intake);
    if (intake.full()) await intake.room();
  }
  return true;
}

async function takeAside(session: SwarmSession, piece: number, intake: Intake): Promise<void> {
  const bytes = await intake.aside(piece);
  if (bytes === undefined) session.lost(piece);
  else intake.put(bytes.subarray(intake.position() - pieceStart(piece)));
}
