/**
 * Ranges of files for peers: of whole files of the store, and of the pieces that a download has so
 * far. Each upload holds a slot of the gate from before its first byte until after its last.
 */
import { AptP2pError } from "../base/errors.ts";
import { BoundedMap } from "../base/bounded-map.ts";
import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { StoredFile } from "../cache/types.ts";
import { formatHave, formatPieceHashes, wireBounds } from "../swarm/peer-wire.ts";
import { pieceAt, pieceEnd, pieceStart, shapeOf, type Shape } from "../swarm/shape.ts";
import type { Slot, Wanted } from "../swarm/upload-gate.ts";
import { FileBody } from "./body.ts";
import { select } from "./conditional.ts";
import type { Ask, Outcome, PeerAnswersParts, SharedDownload } from "./peer-types.ts";
import { UploadBody } from "./upload-body.ts";
import type { Uploads } from "./peer-uploads.ts";
import { Sowings } from "./sowings.ts";

type Readable = ConstructorParameters<typeof FileBody>[0];

/** Bytes [start, end) of the file. */
interface Part {
  readonly status: 200 | 206;
  readonly start: number;
  readonly end: number;
}

interface Upload {
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  readonly part: Part;
  readonly headers: Readonly<Record<string, string>>;
  /** undefined: it is gone. */
  readonly open: () => Promise<Readable | undefined>;
  readonly what: "whole" | "unfinished";
  /** See upload-gate.ts. */
  readonly rare?: boolean;
  /** Called in the end: so many bytes have gone. */
  readonly sent?: ((bytes: number) => void) | undefined;
}

export class PeerFiles {
  readonly #parts: PeerAnswersParts;
  readonly #uploads: Uploads;
  readonly sowings: Sowings;
  readonly #lists = new BoundedMap<Sha256, Uint8Array>(limits.pieceLists);
  readonly #computing = new Set<Sha256>();

  constructor(parts: PeerAnswersParts, uploads: Uploads) {
    this.#parts = parts;
    this.#uploads = uploads;
    this.sowings = new Sowings(parts.clock);
  }

  async whole(ask: Ask, file: StoredFile): Promise<Outcome> {
    const { sha256, sizeBytes, scope } = file;
    const selected = select(ask.request.headers, validators(sha256), sizeBytes);
    if (selected.kind === "not-modified") {
      return { what: "whole", status: 304, headers: { etag: `"${sha256}"` } };
    }
    if (selected.kind === "unsatisfiable") return unsatisfiable(sizeBytes);
    const part: Part =
      selected.kind === "whole"
        ? { status: 200, start: 0, end: sizeBytes }
        : { status: 206, start: selected.start, end: selected.end };
    // It would be the first to get this; a HEAD gets nothing.
    const first = ask.request.headers["apt-p2p-unsown"] === "1" && ask.request.method !== "HEAD";
    const sent = first ? this.sowings.sow(file, part) : undefined;
    const sown = this.sowings.header(sha256);
    if (first && sent === undefined) return { what: "sown", status: 409, headers: sown };
    const claims = this.#claims(file, part);
    return this.#upload(ask, {
      ...{ sha256, sizeBytes, part, what: "whole", sent },
      headers: {
        ...(claims !== undefined && { "apt-p2p-pieces": claims }),
        ...sown,
        ...(scope === "local" && { "apt-p2p-scope": "local" }),
      },
      open: () => this.#openWhole(sha256),
    });
  }

  async unfinished(ask: Ask, sha256: Sha256, share: SharedDownload): Promise<Outcome> {
    const { sizeBytes } = share;
    const selected = select(ask.request.headers, validators(sha256), sizeBytes);
    if (selected.kind === "unsatisfiable") return unsatisfiable(sizeBytes);
    // The whole is what nobody can have of it.
    if (selected.kind !== "part" || !holds(share, selected)) return { what: "missing" };
    const part: Part = { status: 206, start: selected.start, end: selected.end };
    const shape = shapeOf(sizeBytes);
    const hashes: string[] = [];
    for (const piece of wholePieces(shape, part)) {
      const hash = await share.pieceHash(piece);
      if (hash !== undefined) hashes.push(hash);
    }
    const rare = wholePieces(shape, part).some((piece) => share.isRare(piece));
    if (rare) this.#parts.counters.add("peers.asked.rare");
    const complete = hashes.length > 0 && hashes.length === wholePieces(shape, part).length;
    return this.#upload(ask, {
      ...{ sha256, sizeBytes, part, what: "unfinished", rare },
      headers: {
        ...(complete && { "apt-p2p-pieces": formatPieceHashes(hashes) }),
        ...(shape.pieces <= wireBounds.headerHavePieces && {
          "apt-p2p-have": formatHave(share.have),
        }),
        // Where it comes from may turn out later; until then it stays among neighbours.
        ...(share.scope !== "public" && { "apt-p2p-scope": "local" }),
      },
      open: () => Promise.resolve(new Growing(share, () => this.#openWhole(sha256))),
    });
  }

  /** All hashes of a whole file; computed now if need be. undefined: it is gone. */
  async list(sha256: Sha256): Promise<Uint8Array | undefined> {
    const known = this.#lists.get(sha256);
    if (known !== undefined) return known;
    const list = await this.#parts.pieceHashes(sha256);
    if (list !== undefined && list.length <= limits.pieceListBytes) this.#lists.set(sha256, list);
    return list;
  }

  async #upload(ask: Ask, upload: Upload): Promise<Outcome> {
    let begun = false;
    try {
      const outcome = await this.#begin(ask, upload);
      begun = "body" in outcome;
      return outcome;
    } finally {
      if (!begun) upload.sent?.(0);
    }
  }

  async #begin(ask: Ask, upload: Upload): Promise<Outcome> {
    const { part, sizeBytes, sha256, what } = upload;
    const { start, end } = part;
    const headers: Record<string, string> = {
      ...{ etag: `"${sha256}"`, "accept-ranges": "bytes" },
      ...{ "content-type": "application/octet-stream", "content-length": `${end - start}` },
      ...(part.status === 206 && { "content-range": `bytes ${start}-${end - 1}/${sizeBytes}` }),
      ...upload.headers,
    };
    if (ask.request.method === "HEAD") return { what, status: part.status, headers };
    const { gate, clock } = this.#parts;
    if (!gate.allows(ask.who, end - start)) return { what: "spent" };
    const slot = await this.#slot(ask, { bytes: end - start, rare: upload.rare ?? false });
    if (slot === undefined) return { what: "busy" };
    let opened: Readable | undefined;
    try {
      opened = await upload.open();
    } finally {
      if (opened === undefined) slot.end();
    }
    if (opened === undefined) return { what: "missing" };
    this.#uploads.begin(sha256);
    let sentBytes = 0;
    const body = new UploadBody(new FileBody(opened, start, end), {
      ...{ clock, slot },
      cut: () => {
        this.#parts.counters.add("peers.stalled");
        ask.request.cut();
      },
      onBytes: (bytes) => {
        sentBytes += bytes;
        this.#uploads.add(sha256, ask.who, bytes);
      },
      onEnd: () => {
        ask.signal.removeEventListener("abort", left);
        this.#uploads.end(sha256);
        upload.sent?.(sentBytes);
      },
    });
    const left = (): void => body.leave();
    ask.signal.addEventListener("abort", left);
    if (ask.signal.aborted) left();
    return { what, status: part.status, headers, body };
  }

  /** undefined: busy. Rejects CLOSED when the peer leaves. */
  #slot({ who, signal }: Ask, wanted: Wanted): Promise<Slot | undefined> {
    const { gate, clock } = this.#parts;
    return new Promise((resolve, reject) => {
      const undo: (() => void)[] = [];
      const state = { over: false };
      const over = (slot: Slot | undefined): void => {
        state.over = true;
        for (const each of undo) each();
        resolve(slot);
      };
      const leave = gate.enter(who, over, wanted);
      if (leave === undefined) over(undefined);
      if (leave === undefined || state.over) return;
      const gone = (): void => {
        for (const each of undo) each();
        reject(new AptP2pError("CLOSED", "the peer has left"));
      };
      // Without effect once there is a slot.
      undo.push(leave);
      undo.push(clock.after(limits.uploadQueueMs, () => over(undefined)));
      undo.push(() => signal.removeEventListener("abort", gone));
      signal.addEventListener("abort", gone);
      if (signal.aborted) gone();
    });
  }

  async #openWhole(sha256: Sha256): Promise<Readable | undefined> {
    return (await this.#parts.store.open(sha256))?.handle;
  }

  /** Hashes of the pieces wholly inside, if they are at hand; else they are from the next time on. */
  #claims({ sha256, sizeBytes }: StoredFile, part: Part): string | undefined {
    const shape = shapeOf(sizeBytes);
    const pieces = wholePieces(shape, part);
    if (pieces.length === 0) return undefined;
    if (shape.pieces === 1) return sha256;
    const list = this.#lists.get(sha256);
    if (list === undefined) this.#learnList(sha256, shape.pieces);
    const hashes = list === undefined ? [] : pieces.map((piece) => hashOf(list, piece));
    return hashes.length === 0 ? undefined : formatPieceHashes(hashes);
  }

  #learnList(sha256: Sha256, pieces: number): void {
    if (this.#computing.has(sha256) || pieces * 32 > limits.pieceListBytes) return;
    if (this.#computing.size >= limits.pieceLists) return;
    this.#computing.add(sha256);
    const done = (): void => void this.#computing.delete(sha256);
    this.list(sha256).then(done, done);
  }
}

/** A download's bytes; when it has become a stored file meanwhile, those of that. */
class Growing implements Readable {
  readonly #share: SharedDownload;
  readonly #openWhole: () => Promise<Readable | undefined>;
  #whole: Promise<Readable | undefined> | undefined;

  constructor(share: SharedDownload, openWhole: () => Promise<Readable | undefined>) {
    this.#share = share;
    this.#openWhole = openWhole;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    if (this.#whole === undefined) {
      const count = await this.#share.read(into, position).catch(() => 0);
      if (count > 0) return count;
      this.#whole = this.#openWhole();
    }
    return (await this.#whole)?.read(into, position) ?? 0;
  }

  async close(): Promise<void> {
    await (await this.#whole)?.close();
  }
}

function validators(sha256: Sha256): Parameters<typeof select>[1] {
  return { etag: `"${sha256}"`, lastModified: undefined, madeUp: true };
}

function unsatisfiable(sizeBytes: number): Outcome {
  return { what: "bad", status: 416, headers: { "content-range": `bytes */${sizeBytes}` } };
}

function holds({ have }: SharedDownload, { start, end }: { start: number; end: number }): boolean {
  for (let piece = pieceAt(start); pieceStart(piece) < end; piece++) {
    if (!have.has(piece)) return false;
  }
  return true;
}

/** Those wholly inside, if an answer's head can carry as many; else none. */
function wholePieces(shape: Shape, { start, end }: Part): number[] {
  const pieces: number[] = [];
  for (let piece = Math.ceil(start / limits.pieceBytes); piece < shape.pieces; piece++) {
    if (pieceEnd(shape, piece) > end) break;
    if (pieces.length === wireBounds.headerPieces) return [];
    pieces.push(piece);
  }
  return pieces;
}

function hashOf(list: Uint8Array, piece: number): string {
  return Buffer.from(list.buffer, list.byteOffset + piece * 32, 32).toString("hex");
}
