/** What serves peers, on a store, downloads and a clock of the test's own. */
import { createHash } from "node:crypto";
import { Counters } from "../../src/base/counters.ts";
import { parseEndpoint, type Endpoint } from "../../src/base/endpoint.ts";
import { limits } from "../../src/base/limits.ts";
import type { Clock } from "../../src/base/ports.ts";
import type { Sha256 } from "../../src/base/sha256.ts";
import type { OpenedFile } from "../../src/cache/shelf.ts";
import type { StoredFile } from "../../src/cache/types.ts";
import { PeerAnswers } from "../../src/engine/peer-answers.ts";
import type {
  PeerAnswersSettings,
  PeerRequest,
  SharedDownload,
  SharedFiles,
} from "../../src/engine/peer-types.ts";
import { isLoopback } from "../../src/engine/address-rules.ts";
import type { Answer } from "../../src/engine/types.ts";
import { nodeHashes } from "../../src/io/node-hashes.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { PieceMap } from "../../src/swarm/piece-map.ts";
import { shapeOf } from "../../src/swarm/shape.ts";
import {
  defaultUploadLimits,
  UploadGate,
  type FarAllowance,
  type UploadLimits,
} from "../../src/swarm/upload-gate.ts";

export const nearAddress = "10.0.0.7";
export const farAddress = "192.0.2.7";

export interface PeerWorldOptions {
  readonly limits?: Partial<UploadLimits>;
  readonly settings?: Partial<PeerAnswersSettings>;
  readonly allowance?: FarAllowance;
  readonly crowded?: () => boolean;
  /** Private addresses and loopback, unless said otherwise. */
  readonly isNear?: (address: string) => boolean;
}

export class PeerWorld {
  readonly counters = new Counters();
  readonly gate: UploadGate;
  readonly answers: PeerAnswers;
  readonly heard: string[] = [];
  readonly downloads = new Map<Sha256, TestDownload>();
  /** Handles that are open. */
  open = 0;
  listsMade = 0;
  readonly #files = new Map<Sha256, { bytes: Buffer; scope: "public" | "local" }>();
  readonly #shared = new Set<Sha256>();
  #version = 0;

  constructor(clock: Clock, options: PeerWorldOptions = {}) {
    const bounds = { ...defaultUploadLimits, ...options.limits };
    this.gate = new UploadGate(clock, bounds, options.allowance);
    this.answers = new PeerAnswers(
      {
        store: { find: (sha256) => this.#find(sha256), open: (sha256) => this.#open(sha256) },
        pieceHashes: (sha256) => {
          this.listsMade++;
          const file = this.#files.get(sha256);
          return Promise.resolve(file === undefined ? undefined : pieceList(file.bytes));
        },
        unfinished: (sha256) => this.downloads.get(sha256),
        shared: this.#sharing(),
        ...{ gate: this.gate, clock, random: new SeededRandom(1), hashes: nodeHashes },
        ...{ counters: this.counters, crowded: options.crowded ?? ((): boolean => false) },
        isNear: options.isNear ?? ((address) => address.startsWith("10.") || isLoopback(address)),
        heard: (endpoint) => void this.heard.push(endpoint.text),
      },
      { enabled: true, nearOnly: false, ...options.settings },
    );
  }

  /** A whole file; private ones are `local`. */
  add(bytes: Buffer, scope: "public" | "local" = "public", shared = true): Sha256 {
    const sha256 = digestOf(bytes);
    this.#files.set(sha256, { bytes, scope });
    if (shared) this.#shared.add(sha256);
    this.#version++;
    return sha256;
  }

  remove(sha256: Sha256): void {
    this.#files.delete(sha256);
  }

  download(bytes: Buffer, pieces: readonly number[]): TestDownload {
    const download = new TestDownload(bytes, pieces);
    this.downloads.set(digestOf(bytes), download);
    return download;
  }

  ask(url: string, request: Partial<PeerRequest> = {}, signal?: AbortSignal): Promise<Answer> {
    return this.answers.answer(
      {
        ...{ method: "GET", url, headers: {}, remoteAddress: nearAddress },
        readBody: () => Promise.resolve(Buffer.alloc(0)),
        cut: () => undefined,
        ...request,
      },
      signal ?? new AbortController().signal,
    );
  }

  #sharing(): SharedFiles {
    const version = (): number => this.#version;
    const all = this.#shared;
    return {
      mayGive: ({ sha256, scope }, near) => all.has(sha256) && (near || scope === "public"),
      get digests() {
        return { all, version: version() };
      },
    };
  }

  #find(sha256: Sha256): StoredFile | undefined {
    const file = this.#files.get(sha256);
    if (file === undefined) return undefined;
    return {
      ...{ sha256, sizeBytes: file.bytes.length, path: `/${sha256}`, owned: true, names: [] },
      ...{ mtimeMs: 0, addedAtMs: 0, verifiedAtMs: 0, lastUsedMs: 0 },
      ...{ scope: file.scope, origin: "mirror" },
    };
  }

  #open(sha256: Sha256): Promise<OpenedFile | undefined> {
    const file = this.#find(sha256);
    const bytes = this.#files.get(sha256)?.bytes;
    if (file === undefined || bytes === undefined) return Promise.resolve(undefined);
    this.open++;
    const handle = {
      read: (into: Uint8Array, position: number) => Promise.resolve(bytes.copy(into, 0, position)),
      close: () => {
        this.open--;
        return Promise.resolve();
      },
    };
    return Promise.resolve({ file, handle: handle as unknown as OpenedFile["handle"] });
  }
}

/** A download that has some pieces. */
export class TestDownload implements SharedDownload {
  readonly sizeBytes: number;
  readonly have: PieceMap;
  fetching: PieceMap | undefined;
  scope: "public" | "local" | "unknown" = "public";
  named: readonly Endpoint[] = [];
  readonly rare = new Set<number>();
  readonly heardOf: string[] = [];
  readonly listeners = new Set<() => void>();
  /** Reading brings nothing any more. */
  gone = false;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, pieces: readonly number[]) {
    this.#bytes = bytes;
    this.sizeBytes = bytes.length;
    this.have = new PieceMap(shapeOf(bytes.length).pieces);
    for (const piece of pieces) this.have.add(piece);
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return Promise.resolve(this.gone ? 0 : this.#bytes.copy(into, 0, position));
  }

  pieceHash(piece: number): Promise<string | undefined> {
    return Promise.resolve(
      pieceList(this.#bytes).toString("hex", piece * 32, piece * 32 + 32) || undefined,
    );
  }

  isRare(piece: number): boolean {
    return this.rare.has(piece);
  }

  peers(): readonly Endpoint[] {
    return this.named;
  }

  heard(endpoint: Endpoint): void {
    this.heardOf.push(endpoint.text);
  }

  changed(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** It has another piece. */
  gain(piece: number): void {
    this.have.add(piece);
    for (const listener of [...this.listeners]) listener();
  }
}

/** All of an answer's body. */
export async function bodyOf({ body }: Answer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let chunk = await body?.next(); chunk !== undefined; chunk = await body?.next()) {
    chunks.push(Buffer.from(chunk));
  }
  body?.close();
  return Buffer.concat(chunks);
}

export function digestOf(bytes: Uint8Array): Sha256 {
  return createHash("sha256").update(bytes).digest("hex") as Sha256;
}

export function pieceList(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += limits.pieceBytes) {
    parts.push(Buffer.from(digestOf(bytes.subarray(at, at + limits.pieceBytes)), "hex"));
  }
  return Buffer.concat(parts);
}

/** Bytes that are nowhere the same. */
export function content(bytes: number, seed = 1): Buffer {
  const random = new SeededRandom(seed);
  return Buffer.from(Uint8Array.from({ length: bytes }, () => random.below(256)));
}

export function endpointOf(text: string): Endpoint {
  const parsed = parseEndpoint(text);
  if (parsed === undefined) throw new Error(`${text} is no endpoint`);
  return parsed;
}
