/**
 * Single questions to a peer, and what its answers are worth. Whatever it sends is a typed answer or
 * a failure; nothing that it sends is read beyond what was asked for.
 */
import type { Endpoint } from "../base/endpoint.ts";
import type { Clock, Hashes } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { limits } from "../base/limits.ts";
import { second } from "../base/units.ts";
import {
  parseHave,
  parseLoad,
  parsePieceHashes,
  parsePieceList,
  parseSwarm,
  wireBounds,
} from "../swarm/peer-wire.ts";
import type { PieceList } from "../swarm/piece-lists.ts";
import type { StateQuestion } from "../swarm/ports.ts";
import { pieceEnd, pieceStart, type Shape } from "../swarm/shape.ts";
import type { Offer } from "../swarm/transfer-plan.ts";
import type { Failure, Load, PeerState, PieceRequest } from "../swarm/types.ts";
import { newsHeader, readNews } from "./news.ts";
import { PieceIntake, type WholePiece } from "./piece-intake.ts";
import type { PeerHttpResponse, PeerPort } from "./ports.ts";

export interface PieceEvents {
  /** The answer's head; `local`: the copy came from a private source. */
  readonly offered: (offer: Offer & { readonly local?: boolean }) => "go" | "stop";
  readonly received: (bytes: number) => void;
  readonly whole: (piece: WholePiece) => void;
  /** Resolves when more may come; undefined: now. */
  readonly room: () => Promise<void> | undefined;
}

export interface PieceWork {
  readonly events: PieceEvents;
  readonly signal: AbortSignal;
}

export interface PeerTarget {
  readonly endpoint: Endpoint;
  readonly near: boolean;
}

/** A peer's word of itself. */
export interface Told {
  readonly state: PeerState;
  readonly load: Load | undefined;
}

interface Asked {
  readonly to: PeerTarget;
  readonly sha256: Sha256;
}

/** What ended it early; undefined: all pieces came. Rejects with AptP2pError UPSTREAM, CLOSED. */
export async function askForPieces(
  { peers, hashes }: { readonly peers: PeerPort; readonly hashes: Hashes },
  what: Asked & { readonly shape: Shape; readonly request: PieceRequest },
  { events, signal }: PieceWork,
): Promise<Failure | undefined> {
  const { shape, request } = what;
  const start = pieceStart(request.piece);
  const end = pieceEnd(shape, request.piece + request.count - 1);
  const response = await send(
    peers,
    {
      ...{ ...what, path: "" },
      headers: {
        range: `bytes=${start}-${end - 1}`,
        ...(request.unsown === true && { "apt-p2p-unsown": "1" }),
      },
    },
    signal,
  );
  const { headers } = response;
  const sown = parseHave(headers["apt-p2p-sown"], shape.pieces);
  const refused = request.unsown === true && response.status === 409;
  const failure: Failure | undefined = refused
    ? { kind: "sown", sown }
    : (failureOf(response) ?? wrongPart(response, { start, end, shape }));
  const offer = {
    load: parseLoad(headers["apt-p2p-load"]),
    claims: parsePieceHashes(headers["apt-p2p-pieces"], request.count),
    have: parseHave(headers["apt-p2p-have"], shape.pieces),
    sown,
    local: headers["apt-p2p-scope"] === "local",
  };
  if (failure !== undefined || events.offered(offer) === "stop") {
    discardBody(response);
    return failure;
  }
  const intake = new PieceIntake(hashes, shape, request);
  return readPieces(response.body, intake, { events, signal });
}

/** A body to its end, which gives the connection back; see `askForPieces`. */
export async function readPieces(
  body: AsyncIterable<Buffer>,
  intake: PieceIntake,
  { events, signal }: PieceWork,
): Promise<Failure | undefined> {
  try {
    for await (const chunk of body) {
      if (signal.aborted) return undefined;
      if (chunk.length > intake.leftBytes) {
        return { kind: "wrong", what: "more bytes than asked for" };
      }
      events.received(chunk.length);
      for (const whole of intake.take(chunk)) {
        events.whole(whole);
        await events.room();
      }
    }
  } finally {
    intake.close();
  }
  return intake.full ? undefined : { kind: "broken" };
}

/** Its state. Rejects with AptP2pError UPSTREAM, CLOSED. */
export async function askForState(
  peers: PeerPort,
  what: Asked & StateQuestion,
  signal: AbortSignal,
): Promise<Told | { readonly failure: Failure }> {
  return stateIn(await sendQuestion(peers, what, signal));
}

/** Peers that go on telling of themselves. */
const followed = { count: 0 };

/**
 * Its state, again and again if that is asked for and it does it → what was wrong. Rejects with
 * AptP2pError UPSTREAM, CLOSED.
 */
export async function followState(
  { peers, clock }: { readonly peers: PeerPort; readonly clock: Clock },
  { everyMs, ...what }: Asked & StateQuestion,
  { told, signal }: { readonly told: (told: Told) => void; readonly signal: AbortSignal },
): Promise<Failure | undefined> {
  if (everyMs === undefined || followed.count >= limits.followedPeers) {
    return tellOnce(await sendQuestion(peers, what, signal), told);
  }
  followed.count++;
  try {
    const response = await sendQuestion(peers, { ...what, everyMs }, signal);
    // Not every peer goes on, and none for everybody.
    if (response.status !== 200 || !(newsHeader in response.headers))
      return await tellOnce(response, told);
    return await readNews(response.body, { clock, everyMs }, (bytes) => {
      const state = parseSwarm(bytes);
      if (state === undefined) return unreadable;
      told({ state, load: state.load });
      return undefined;
    });
  } finally {
    followed.count--;
  }
}

async function tellOnce(
  response: PeerHttpResponse,
  told: (told: Told) => void,
): Promise<Failure | undefined> {
  const answer = await stateIn(response);
  if ("failure" in answer) return answer.failure;
  told(answer);
  return undefined;
}

const unreadable = { kind: "wrong", what: "an unreadable state" } as const;

async function stateIn(response: PeerHttpResponse): Promise<Told | { readonly failure: Failure }> {
  const body = await bodyOf(response, wireBounds.swarmBytes);
  if ("failure" in body) return body;
  const state = parseSwarm(body.bytes);
  if (state === undefined) return { failure: unreadable };
  return { state, load: parseLoad(response.headers["apt-p2p-load"]) };
}

function sendQuestion(
  peers: PeerPort,
  { seen, waitMs, names, everyMs, ...what }: Asked & StateQuestion,
  signal: AbortSignal,
): Promise<PeerHttpResponse> {
  const asked = {
    ...(seen !== undefined && { seen, wait: waitMs }),
    ...(!names && { names: 0 }),
    ...(everyMs !== undefined && { every: everyMs }),
  };
  const query = Object.entries(asked).map(([name, value]) => `${name}=${value}`);
  const path = query.length === 0 ? "/swarm" : `/swarm?${query.join("&")}`;
  const patience = { patienceMs: waitMs + 5 * second, news: everyMs !== undefined };
  return send(peers, { ...what, path, headers: {}, ...patience }, signal);
}

/** Its list of pieces. Rejects with AptP2pError UPSTREAM, CLOSED. */
export async function askForList(
  { peers, hashes }: { readonly peers: PeerPort; readonly hashes: Hashes },
  what: Asked & { readonly pieces: number },
  signal: AbortSignal,
): Promise<{ readonly list: PieceList } | { readonly failure: Failure }> {
  const response = await send(peers, { ...what, path: "/pieces", headers: {} }, signal);
  const body = await bodyOf(response, what.pieces * 32);
  if ("failure" in body) return body;
  const list = parsePieceList(body.bytes, what.pieces);
  if (list === undefined) return { failure: { kind: "wrong", what: "a list of another length" } };
  const id = Buffer.from(hashes.of(body.bytes)).toString("hex");
  return { list: { id, hashes: list } };
}

/** A body that nobody wants is read to its end all the same if it is no longer than this. */
const discardBytes = 4096;
const discardChunks = 4;

/** Ends an answer whose body nobody wants. Unread, it would keep its connection, or cost it. */
export function discardBody({ headers, body }: Omit<PeerHttpResponse, "status">): void {
  const iterator = body[Symbol.asyncIterator]();
  const short = Number(headers["content-length"] ?? 0) <= discardBytes;
  drain(iterator, short ? discardChunks : 0).catch(() => undefined);
}

async function drain(body: AsyncIterator<Buffer>, mostChunks: number): Promise<void> {
  let bytes = 0;
  for (let chunks = 0; chunks < mostChunks && bytes <= discardBytes; chunks++) {
    const step = await body.next();
    if (step.done === true) return;
    bytes += step.value.length;
  }
  await body.return?.();
}

/** The whole body; undefined if it is longer than that. Rejects with AptP2pError UPSTREAM. */
export async function readAll(
  { body }: Pick<PeerHttpResponse, "body">,
  mostBytes: number,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > mostBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(
  peers: PeerPort,
  {
    to,
    sha256,
    path,
    headers,
    patienceMs,
    news = false,
  }: Asked & {
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly patienceMs?: number;
    readonly news?: boolean;
  },
  signal: AbortSignal,
): Promise<PeerHttpResponse> {
  return peers.send(
    {
      ...{ to: to.endpoint, near: to.near, method: "GET", headers },
      path: `/~/sha256/${sha256}${path}`,
      ...(patienceMs !== undefined && { patienceMs }),
      ...(news && { news: true as const }),
    },
    signal,
  );
}

/** What an answer other than 200 and 206 means. */
function failureOf({ status, headers }: PeerHttpResponse): Failure | undefined {
  if (status === 404 || status === 403 || status === 416) return { kind: "missing" };
  if (status === 503 || status === 429) {
    const seconds = Number(headers["retry-after"] ?? "NaN");
    const known = Number.isInteger(seconds) && seconds >= 0 && seconds <= 60;
    return { kind: "busy", retryAfterMs: known ? seconds * second : undefined };
  }
  if (headers["content-encoding"] !== undefined) return { kind: "wrong", what: "a coding" };
  return undefined;
}

/** Only a 206 with just these bytes will do. */
function wrongPart(
  { status, headers }: PeerHttpResponse,
  { start, end, shape }: { readonly start: number; readonly end: number; readonly shape: Shape },
): Failure | undefined {
  if (status !== 206) return { kind: "wrong", what: `status ${status} instead of 206` };
  const expected = `bytes ${start}-${end - 1}/${shape.sizeBytes}`;
  if (headers["content-range"] !== expected) return { kind: "wrong", what: "another range" };
  const length = headers["content-length"];
  if (length !== undefined && length !== `${end - start}`) {
    return { kind: "wrong", what: "another length" };
  }
  return undefined;
}

async function bodyOf(
  response: PeerHttpResponse,
  mostBytes: number,
): Promise<{ readonly bytes: Buffer } | { readonly failure: Failure }> {
  const failure = failureOf(response);
  if (failure !== undefined || response.status !== 200) {
    discardBody(response);
    const what = `status ${response.status} instead of 200`;
    return { failure: failure ?? { kind: "wrong", what } };
  }
  const bytes = await readAll(response, mostBytes);
  if (bytes === undefined) return { failure: { kind: "wrong", what: "a body without end" } };
  return { bytes };
}
