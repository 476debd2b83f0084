/** Single pieces of the mirror, by Range. Its word is taken as apt takes it: the whole digest decides. */
import type { Hashes } from "../base/ports.ts";
import { pieceEnd, pieceStart, type Shape } from "../swarm/shape.ts";
import type { Failure, PieceRequest } from "../swarm/types.ts";
import { parseContentRange } from "./conditional.ts";
import { PieceIntake } from "./piece-intake.ts";
import { discardBody, readPieces, type PieceWork } from "./peer-requests.ts";
import type { Mirror } from "./ports.ts";

/** What ended it early; undefined: all pieces came. Rejects with AptP2pError UPSTREAM, CLOSED. */
export async function askMirrorForPieces(
  { mirror, hashes }: { readonly mirror: Mirror; readonly hashes: Hashes },
  what: {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly shape: Shape;
    readonly request: PieceRequest;
  },
  { events, signal }: PieceWork,
): Promise<Failure | undefined> {
  const { shape, request, url } = what;
  const start = pieceStart(request.piece);
  const end = pieceEnd(shape, request.piece + request.count - 1);
  const headers = { ...what.headers, range: `bytes=${start}-${end - 1}` };
  const response = await mirror.fetch({ method: "GET", url, headers, urgent: false }, signal);
  const range = parseContentRange(response.headers["content-range"]);
  const fits =
    response.status === 206 &&
    range?.start === start &&
    (range.total ?? shape.sizeBytes) === shape.sizeBytes &&
    response.headers["content-encoding"] === undefined;
  if (!fits || events.offered({}) === "stop") {
    discardBody(response);
    return { kind: "wrong", what: "the mirror does not give ranges" };
  }
  return readPieces(response.body, new PieceIntake(hashes, shape, request), { events, signal });
}
