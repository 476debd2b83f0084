/**
 * A mirror in memory, in virtual time: what it serves, how fast, and everything a real one does wrong.
 * Faults are a list per path, used up one request after another; then the mirror behaves.
 */
import { AptP2pError } from "../base/errors.ts";
import type { Clock } from "../base/ports.ts";
import { KiB } from "../base/units.ts";
import type { Mirror, MirrorRequest, MirrorResponse } from "../engine/ports.ts";

export interface Fault {
  /** Answers with this status (and a short body) instead. */
  readonly status?: number;
  /** The connection fails before any answer. */
  readonly refuse?: boolean;
  /** The connection breaks when this many bytes of the body are out. */
  readonly cutAtBytes?: number;
  /** This byte of the file is wrong. */
  readonly flipAtByte?: number;
  /** Silence before the head. */
  readonly delayMs?: number;
  /** These headers on top; undefined removes one. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Range is ignored. */
  readonly ignoreRange?: boolean;
  /** Sent instead of the file's bytes. */
  readonly body?: Buffer;
}

export interface Asked extends MirrorRequest {
  readonly atMs: number;
}

const DATE = "Sat, 01 Aug 2026 12:00:00 GMT";

export class FakeMirror implements Mirror {
  readonly asked: Asked[] = [];
  readonly files = new Map<string, Buffer>();
  readonly faults = new Map<string, Fault[]>();
  sentBytes = 0;
  /** Bodies that were begun and neither read to the end nor closed. */
  openBodies = 0;
  readonly #clock: Clock;
  readonly #bytesPerMs: number;

  /** Files by URL. `bytesPerMs` Infinity: without delay. */
  constructor(clock: Clock, bytesPerMs = Infinity) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerMs;
  }

  async fetch(request: MirrorRequest, signal: AbortSignal): Promise<MirrorResponse> {
    this.asked.push({ ...request, atMs: this.#clock.monotonicMs() });
    const fault = this.faults.get(request.url)?.shift() ?? {};
    if (fault.delayMs !== undefined) await this.#pause(fault.delayMs);
    if (signal.aborted) throw new AptP2pError("CLOSED", "cancelled");
    if (fault.refuse === true) throw new AptP2pError("UPSTREAM", "connection refused");
    const file = fault.body ?? this.files.get(request.url);
    if (fault.status !== undefined || file === undefined) {
      return this.#plain(fault.status ?? 404, fault.headers ?? {});
    }
    const { "if-modified-since": since } = request.headers;
    if (since === DATE) return this.#plain(304, { "content-length": undefined });
    return this.#serve(flipped(file, fault.flipAtByte), { request, fault, signal });
  }

  #serve(
    file: Buffer,
    work: {
      readonly request: MirrorRequest;
      readonly fault: Fault;
      readonly signal: AbortSignal;
    },
  ): MirrorResponse {
    const { request, fault, signal } = work;
    const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers["range"] ?? "");
    const start = fault.ignoreRange === true ? 0 : Number(asked?.[1] ?? 0);
    const last = fault.ignoreRange === true ? "" : (asked?.[2] ?? "");
    const end = last === "" ? file.length : Math.min(file.length, Number(last) + 1);
    const partial = asked !== null && fault.ignoreRange !== true;
    const headers = {
      "content-type": "application/octet-stream",
      "content-length": `${end - start}`,
      "last-modified": DATE,
      ...(partial && { "content-range": `bytes ${start}-${end - 1}/${file.length}` }),
    };
    return {
      status: partial ? 206 : 200,
      headers: defined({ ...headers, ...fault.headers }),
      global: true,
      body: this.#body(file.subarray(start, end), fault.cutAtBytes, signal),
    };
  }

  #body(bytes: Buffer, cutAtBytes: number | undefined, signal: AbortSignal): AsyncIterable<Buffer> {
    this.openBodies += 1;
    let open = true;
    const close = (): void => {
      if (open) this.openBodies -= 1;
      open = false;
    };
    const chunks = this.#chunks(bytes, cutAtBytes, signal);
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          const step = await chunks.next().catch((thrown: unknown) => {
            close();
            throw thrown;
          });
          if (step.done === true) close();
          return step;
        },
        return: () => {
          close();
          return chunks.return();
        },
      }),
    };
  }

  async *#chunks(
    bytes: Buffer,
    cutAtBytes: number | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer, void, undefined> {
    const end = Math.min(bytes.length, cutAtBytes ?? Infinity);
    for (let at = 0; at < end; at += 64 * KiB) {
      const chunk = bytes.subarray(at, Math.min(end, at + 64 * KiB));
      if (this.#bytesPerMs !== Infinity) await this.#pause(chunk.length / this.#bytesPerMs);
      if (signal.aborted) throw new AptP2pError("CLOSED", "cancelled");
      this.sentBytes += chunk.length;
      yield Buffer.from(chunk);
    }
    if (end < bytes.length) throw new AptP2pError("UPSTREAM", "connection closed by the mirror");
  }

  #plain(status: number, extra: Readonly<Record<string, string | undefined>>): MirrorResponse {
    const bytes = Buffer.from(`${status}\n`);
    const bodyless = status === 304;
    return {
      status,
      headers: defined({
        "content-type": "text/plain",
        "content-length": `${bytes.length}`,
        ...extra,
      }),
      global: true,
      // eslint-disable-next-line @typescript-eslint/require-await -- an iterable is what the port wants
      body: (async function* () {
        if (!bodyless) yield bytes;
      })(),
    };
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(delayMs, resolve));
  }
}

function flipped(file: Buffer, at: number | undefined): Buffer {
  if (at === undefined) return file;
  const copy = Buffer.from(file);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}

function defined(
  headers: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
