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
    if (step.kind === "ahead") await takeAside(session, step.piece, intake);
    else putPiece(session.take(step.piece), step.piece, intake);
    if (intake.full()) await intake.room();
  }
  await session.part();
  return true;
}

async function takeAside(session: SwarmSession, piece: number, intake: Intake): Promise<void> {
  const bytes = await intake.aside(piece);
  if (bytes === undefined) session.lost(piece);
  else putPiece(bytes, piece, intake);
}

/** undefined: it is not believed any more, and will be fetched again. */
function putPiece(bytes: Buffer | undefined, piece: number, intake: Intake): void {
  if (bytes !== undefined) intake.put(bytes.subarray(intake.position() - pieceStart(piece)));
}
