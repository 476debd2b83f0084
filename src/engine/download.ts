/**
 * One file on its way from a mirror, shared by all who want it.
 *
 * Rules:
 * - It belongs to the daemon: no waiter's leaving ends it. Left by all, it goes on for a while.
 * - Bytes are passed on as they come, but the last `limits.heldBackTailBytes` of a file whose digest
 *   is known wait until the whole is proven. So nobody ever has a complete wrong file.
 * - A wrong body of which nothing was passed on is fetched again unseen. Otherwise all connections
 *   are cut; apt comes back for the rest and gets the file from the start.
 * - A transfer that breaks or stalls goes on from where it stopped, on a new connection. If not even
 *   an answer's head has come, the failure is passed on at once: apt does its own retries.
 * - With a swarm the bytes come from peers as well, piece by piece; the mirror's stream runs when the
 *   swarm says so. Peers' errors are nobody's; what the mirror says counts when no peer is left.
 */
import type { Expectation } from "../archive/types.ts";
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Body } from "./body.ts";
import { DownloadBody } from "./download-body.ts";
import { parseContentRange } from "./conditional.ts";
import { scopeOf } from "./download-plan.ts";
import type { DownloadHooks, DownloadPlan, Head, Outcome } from "./download-plan.ts";
import type { Mirror, MirrorResponse } from "./ports.ts";
import { pieceStart } from "../swarm/shape.ts";
import { Received } from "./received.ts";
import type { SwarmSession } from "./swarm-session.ts";

const MISMATCH = new AptP2pError("MISMATCH", "the mirror's file is not what the archive lists");

export class Download {
  readonly #mirror: Mirror;
  readonly #clock: Clock;
  readonly #plan: DownloadPlan;
  readonly #hooks: DownloadHooks;
  readonly #abort = new AbortController();
  /** Ends the mirror's stream alone. */
  #stream = new AbortController();
  #session: SwarmSession | undefined;
  /** Peers are asked once: who wanted the file and got a wrong one gets it from the mirror. */
  #swarmTried = false;
  /** Why the mirror's stream ended while peers were asked. */
  #streamError: AptP2pError | undefined;
  #received: Received;
  #usesSink = true;
  readonly #readers = new Set<DownloadBody>();
  #onLeft: (() => void) | undefined;
  #left = false;
  #head: Head | undefined;
  #headWaiters: { resolve: (head: Head) => void; reject: (error: AptP2pError) => void }[] = [];
  /** The body can become one of the accepted files: the tail is held back until it has. */
  #provable: boolean;
  /** Some reader has been given bytes. */
  #given = false;
  #complete = false;
  #error: AptP2pError | undefined;
  #collected: Buffer[] | undefined;
  #collectedBytes = 0;
  #waiters = 0;
  #cancelLinger: (() => void) | undefined;

  constructor(
    components: { readonly mirror: Mirror; readonly clock: Clock; readonly hooks: DownloadHooks },
    plan: DownloadPlan,
  ) {
    this.#mirror = components.mirror;
    this.#clock = components.clock;
    this.#hooks = components.hooks;
    this.#plan = plan;
    this.#received = new Received(plan.sink);
    this.#provable = plan.accepted.length > 0;
    this.#collected = plan.collect ? [] : undefined;
  }

  get receivedBytes(): number {
    return this.#received.bytes;
  }

  get sizeBytes(): number | undefined {
    return this.#head?.sizeBytes ?? this.#plan.accepted[0]?.sizeBytes;
  }

  get waiters(): number {
    return this.#waiters;
  }

  /** Whether a reader can still start at `position`. */
  joinable(position: number): boolean {
    return !this.ended && this.#received.reaches(position);
  }

  /** It has failed, or everybody has left: nobody can join any more. */
  get ended(): boolean {
    return this.#error !== undefined || this.#left;
  }

  /** Registers interest; every call is matched by one of leave(). */
  join(): void {
    this.#waiters += 1;
    this.#cancelLinger?.();
    this.#cancelLinger = undefined;
  }

  leave(): void {
    this.#waiters -= 1;
    if (this.#waiters === 0) this.#onLeft?.();
    if (this.#waiters > 0 || this.#complete || this.#error !== undefined) return;
    // Nothing can be kept of a body that is not to be proven: it ends with its last reader.
    const lingerMs = this.#provable ? limits.lingerMs : 0;
    this.#cancelLinger = this.#clock.after(lingerMs, () => this.abort());
  }

  /** Ends the transfer; what has arrived stays in the sink. */
  abort(): void {
    this.#abort.abort();
    this.#stream.abort();
    this.#session?.close();
    this.#received.moved();
  }

  /** The swarm that brings it, while there is one. */
  get session(): SwarmSession | undefined {
    return this.#session;
  }

  /** Whether the file may leave the own network, by what the mirror said; undefined: not asked. */
  get origin(): "public" | "local" | undefined {
    return this.#head === undefined ? undefined : scopeOf(this.#head);
  }

  /** Bytes of whole pieces for peers, wherever they are now → how many (0: not here). */
  async readHeld(into: Uint8Array, position: number): Promise<number> {
    if (position < this.#received.bytes) {
      const end = Math.min(this.#received.bytes, position + into.length);
      const bytes = await this.#received.read(position, end);
      bytes.copy(into);
      return bytes.length;
    }
    return (await this.#plan.sink.readAhead?.(into, position)) ?? 0;
  }

  /** Resolves when nobody is left; from then on nobody can join. Called after run(). */
  async left(): Promise<void> {
    if (this.#waiters > 0) await new Promise<void>((resolve) => (this.#onLeft = resolve));
    this.#left = true;
  }

  /** Whether the bytes go to the plan's sink, not to its spare. */
  get usesSink(): boolean {
    return this.#usesSink;
  }

  /** Whether the body that now comes can still become the expected file. */
  get provable(): boolean {
    return this.#provable;
  }

  /** Status and headers; rejects when the mirror gave none. */
  head(): Promise<Head> {
    if (this.#head !== undefined) return Promise.resolve(this.#head);
    if (this.#error !== undefined) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => this.#headWaiters.push({ resolve, reject }));
  }

  /** Bytes [start, end) of the body; `end` undefined: to its end. Holds the caller's join(). */
  body(start: number, end: number | undefined): Body {
    const body = new DownloadBody(
      {
        next: (position, until) => this.#read(position, until),
        moved: () => this.#received.moved(),
        closed: (reader) => this.#closed(reader),
      },
      start,
      end,
    );
    this.#readers.add(body);
    this.#received.addReader(body);
    return body;
  }

  /** Runs the transfer to its end. Never rejects. Called once. */
  async run(): Promise<Outcome> {
    try {
      for (;;) {
        await this.#receive();
        const outcome = this.#judge();
        if (outcome !== undefined) return outcome;
        await this.#restart();
      }
    } catch (thrown) {
      const error =
        thrown instanceof AptP2pError
          ? thrown
          : new AptP2pError("UPSTREAM", `download failed: ${String(thrown)}`, { cause: thrown });
      this.#fail(error);
      return error === MISMATCH ? { kind: "mismatch" } : { kind: "failed", error };
    } finally {
      this.#cancelLinger?.();
    }
  }

  /** Throws away what is held. Nobody has been given any of it. */
  async #restart(): Promise<void> {
    await this.#plan.sink.restart();
    this.#received = new Received(this.#plan.sink);
    for (const reader of this.#readers) this.#received.addReader(reader);
    this.#collected = this.#plan.collect ? [] : undefined;
    this.#collectedBytes = 0;
  }

  /** All bytes are here → what they are; undefined: to be fetched again, unseen. */
  #judge(): Outcome | undefined {
    const head = this.#head;
    if (head === undefined) throw new Error("a body came without a head");
    const collected = this.#collected === undefined ? undefined : Buffer.concat(this.#collected);
    this.#collected = undefined;
    if (!this.#provable) {
      this.#hooks.onWhole(undefined, head, head.status === 200 ? collected : undefined);
      this.#finish();
      return { kind: "unproven" };
    }
    const digest = this.#plan.sink.digest();
    if (this.#plan.accepted.some((expectation) => expectation.sha256 === digest)) {
      this.#hooks.onWhole(digest, head, collected);
      this.#finish();
      return { kind: "proven", sha256: digest };
    }
    if (this.#hooks.onMismatch(digest) === "pass") {
      this.#finish();
      return { kind: "unproven" };
    }
    if (this.#given) throw MISMATCH;
    return undefined;
  }

  /** One whole body. */
  async #receive(): Promise<void> {
    const size = commonSize(this.#plan.accepted);
    if (this.#head === undefined && size !== undefined && this.#received.bytes === size) {
      // An earlier run ended between the last byte and the record: nothing to ask the mirror for.
      this.#setHead({ status: 200, headers: {}, global: false }, size);
      return;
    }
    const { swarm } = this.#plan;
    if (swarm !== undefined && size !== undefined && !this.#swarmTried) {
      this.#swarmTried = true;
      if (await this.#fromSwarm(swarm(this.#received.bytes), size)) return;
      // The mirror has just said why it cannot give it.
      if (this.#streamError !== undefined && !this.#resumable()) throw this.#streamError;
    }
    await this.#fromMirror();
  }

  /** In order, from whoever has it → false: only the mirror is left, for all that is missing. */
  async #fromSwarm(session: SwarmSession, size: number): Promise<boolean> {
    this.#session = session;
    try {
      while (this.#received.bytes < size) {
        const step = await session.next(this.#received.bytes);
        if (isAborted(this.#abort.signal)) {
          throw new AptP2pError("CLOSED", "nobody waits any more");
        }
        if (step.kind === "none") return false;
        if (step.kind === "mirror") {
          await this.#streamFor(session);
          // An answer that cannot be the file is passed on, and nothing else counts.
          if (!this.#provable) return true;
          continue;
        }
        this.#setHead({ status: 200, headers: {}, global: false, peers: true }, size);
        if (step.kind === "ahead") await this.#adopt(session, step.piece);
        else for (const chunk of step.chunks) this.#keep(chunk);
        if (this.#received.full) await this.#makeRoom(this.#abort.signal);
      }
      return true;
    } finally {
      this.#hooks.onSwarmEnd?.(session);
      session.close();
      this.#session = undefined;
    }
  }

  /** A piece that was put aside takes its place. */
  async #adopt(session: SwarmSession, piece: number): Promise<void> {
    const bytes = await this.#plan.sink.takePiece?.(piece);
    if (bytes === undefined) session.lost(piece);
    else this.#keep(bytes.subarray(this.#received.bytes - pieceStart(piece)));
  }

  /** The mirror's bytes until the swarm wants no more of them. */
  async #streamFor(session: SwarmSession): Promise<void> {
    this.#stream = new AbortController();
    const { signal } = this.#stream;
    session.streamStarts(() => this.#stream.abort());
    try {
      await this.#receiveOnce();
    } catch (thrown) {
      if (isAborted(this.#abort.signal)) throw thrown;
      if (isAborted(signal)) return;
      const broken = thrown instanceof AptP2pError && thrown.code !== "MISMATCH";
      if (!broken || !(session.transfer.hopeful || this.#resumable())) throw thrown;
      this.#streamError = thrown;
      if (session.transfer.hopeful) session.streamFailed();
      else await this.#fromMirror();
    } finally {
      session.streamEnds();
    }
  }

  /** One whole body from the mirror, over as many connections as it takes. */
  async #fromMirror(): Promise<void> {
    if (this.#plan.url === "") {
      throw new AptP2pError("UPSTREAM", "no peer that has this file can be reached");
    }
    this.#stream = new AbortController();
    if (this.#abort.signal.aborted) this.#stream.abort();
    let failures = 0;
    for (;;) {
      const before = this.#received.bytes;
      try {
        await this.#receiveOnce();
        return;
      } catch (thrown) {
        const broken = thrown instanceof AptP2pError && thrown.code === "UPSTREAM";
        if (!broken || !this.#resumable() || this.#abort.signal.aborted) throw thrown;
        failures = this.#received.bytes > before ? 1 : failures + 1;
        if (failures > limits.resumes) throw thrown;
        await this.#pause(limits.resumeDelayMs * 2 ** (failures - 1));
      }
    }
  }

  #resumable(): boolean {
    return this.#head?.status === 200 && (this.#provable || this.#ifRange() !== undefined);
  }

  /** Without a digest only the mirror itself can say that the rest belongs to the beginning. */
  #ifRange(): string | undefined {
    const { etag, "last-modified": date } = this.#head?.headers ?? {};
    return etag !== undefined && !etag.startsWith("W/") ? etag : date;
  }

  async #receiveOnce(): Promise<void> {
    const held = this.#received.bytes;
    const headers: Record<string, string> = { ...this.#plan.headers };
    if (held > 0) {
      headers["range"] = `bytes=${held}-`;
      const validator = this.#provable ? undefined : this.#ifRange();
      if (validator !== undefined) headers["if-range"] = validator;
    }
    const response = await this.#mirror.fetch(
      { method: "GET", url: this.#plan.url, headers, urgent: this.#plan.urgent },
      this.#stream.signal,
    );
    let skip: number | undefined;
    try {
      skip = this.#place(response, held);
    } catch (thrown) {
      discard(response);
      throw thrown;
    }
    if (skip === undefined) {
      discard(response);
      await this.#restart();
      return this.#receiveOnce();
    }
    await this.#take(response, skip);
  }

  /**
   * Fits an answer to what is held → how many of its first bytes are held already; undefined: the
   * mirror cannot go on from there, and what was held is thrown away.
   */
  #place(response: MirrorResponse, held: number): number | undefined {
    const { status, headers } = response;
    this.#mirrorHead(response);
    if (held > 0 && status === 206 && this.#continues(headers, held)) {
      this.#setHead(
        { ...response, status: 200 },
        parseContentRange(headers["content-range"])?.total,
      );
      return 0;
    }
    if (held > 0 && this.#head !== undefined) {
      if (status !== 200) {
        throw new AptP2pError("UPSTREAM", `the mirror answered ${status} to a resume`);
      }
      if (!this.#provable) {
        throw new AptP2pError("CLOSED", "the mirror's file changed while it was fetched");
      }
    }
    if (held > 0 && (status === 206 || status === 416)) return undefined;
    const length = Number(headers["content-length"] ?? "NaN");
    this.#setHead(response, Number.isNaN(length) ? undefined : length);
    return Math.min(held, this.#received.bytes);
  }

  /** Whether a 206 is the rest of what is held. */
  #continues(headers: Readonly<Record<string, string>>, held: number): boolean {
    const range = parseContentRange(headers["content-range"]);
    const size = this.sizeBytes;
    const sameSize = size === undefined || (range?.total ?? size) === size;
    if (!this.#provable) {
      // Without a digest the mirror's own marks must say that it is the same file.
      const { etag, "last-modified": date } = this.#head?.headers ?? {};
      if (headers["etag"] !== etag || headers["last-modified"] !== date) return false;
    }
    return range?.start === held && sameSize && headers["content-encoding"] === undefined;
  }

  /** What the mirror says about a file that began with peers; or why it does not count. */
  #mirrorHead({ status, headers, global }: MirrorResponse): void {
    if (this.#session?.transfer.hopeful === true && status !== 200 && status !== 206) {
      throw new AptP2pError("UPSTREAM", `the mirror answered ${status}; peers have the file`);
    }
    if (this.#head?.peers === true && status < 300) this.#head = { ...this.#head, headers, global };
  }

  #setHead(
    { status, headers, global, peers }: Omit<MirrorResponse, "body"> & { peers?: true },
    length?: number,
  ): void {
    if (this.#head !== undefined) return;
    const { accepted } = this.#plan;
    // Another status, a coding on top or another size: the body cannot be what is expected, and
    // apt gets it as it is.
    const coded = headers["content-encoding"] !== undefined;
    const fits = accepted.some(
      ({ sizeBytes: size }) => length === undefined || size === undefined || size === length,
    );
    if (this.#provable && (status !== 200 || coded || !fits)) {
      this.#provable = false;
      this.#received = new Received(this.#plan.spare());
      this.#usesSink = false;
    }
    const implied = this.#provable && !this.#plan.suspect ? commonSize(accepted) : undefined;
    const sizeBytes = length ?? implied;
    this.#head = { status, headers, sizeBytes, global, ...(peers && { peers }) };
    for (const waiter of this.#headWaiters) waiter.resolve(this.#head);
    this.#headWaiters = [];
  }

  async #take(response: MirrorResponse, skipBytes: number): Promise<void> {
    const size = this.#head?.sizeBytes;
    let skip = skipBytes;
    const { signal } = this.#stream;
    for await (const piece of response.body) {
      if (isAborted(signal)) throw new AptP2pError("CLOSED", "nobody waits any more");
      this.#hooks.onReceived(piece.length);
      const chunk = skip > 0 ? piece.subarray(Math.min(skip, piece.length)) : piece;
      skip -= piece.length - chunk.length;
      if (chunk.length === 0) continue;
      if (this.#received.bytes + chunk.length > (size ?? this.#mostBytes())) this.#tooMuch();
      this.#keep(chunk);
      if (this.#session?.streamed(chunk, this.#received.bytes) === false) return;
      if (this.#received.full) await this.#makeRoom(signal);
    }
    if (size !== undefined && this.#received.bytes < size) {
      throw new AptP2pError("UPSTREAM", `the mirror sent ${this.#received.bytes} of ${size} bytes`);
    }
  }

  /** Of a body whose length nobody told. */
  #mostBytes(): number {
    if (!this.#provable) return Infinity;
    const sizes = this.#plan.accepted.map(({ sizeBytes }) => sizeBytes ?? Infinity);
    return Math.max(...sizes) + limits.excessBytes;
  }

  /** Waits for the disk, or without one for the slowest reader. */
  async #makeRoom(signal: AbortSignal): Promise<void> {
    for (let turns = 0; this.#received.full && !isAborted(signal); turns += 1) {
      const unstored = this.#received.failure !== undefined;
      if (unstored && this.#readers.size === 0) return;
      await this.#received.room();
      // Never in circles without letting anybody else do something.
      if (!unstored && turns > 0) await this.#pause(1);
    }
  }

  /** Only a body without Content-Length can outgrow the size that the archive lists. */
  #tooMuch(): never {
    if (this.#provable) this.#hooks.onMismatch(this.#plan.sink.digest());
    throw MISMATCH;
  }

  #keep(chunk: Buffer): void {
    this.#received.append(chunk);
    if (this.#collected !== undefined) {
      this.#collectedBytes += chunk.length;
      if (this.#collectedBytes <= limits.documentBytes) this.#collected.push(chunk);
      else this.#collected = undefined;
    }
    this.#wake();
  }

  /** How far readers may go. */
  #released(): number {
    const received = this.#received.bytes;
    if (this.#complete || !this.#provable) return received;
    const end = this.#head?.sizeBytes ?? received;
    return Math.max(0, Math.min(received, end - limits.heldBackTailBytes));
  }

  /** A reader's next bytes; undefined at the end; null: nothing now, wait to be woken. */
  async #read(position: number, end: number | undefined): Promise<Buffer | undefined | null> {
    const until = Math.min(end ?? Infinity, this.#released());
    if (position < until) {
      // From here on the body cannot be exchanged unseen, even if the reading takes a while.
      this.#given = true;
      const bytes = await this.#received.read(position, until);
      if (bytes.length === 0) {
        throw this.#received.failure ?? new AptP2pError("STORAGE", "cannot read what was written");
      }
      return bytes;
    }
    if (this.#error !== undefined) throw this.#error;
    return this.#complete || position >= (end ?? Infinity) ? undefined : null;
  }

  #finish(): void {
    this.#complete = true;
    this.#wake();
  }

  #fail(error: AptP2pError): void {
    this.#error = error;
    for (const waiter of this.#headWaiters) waiter.reject(error);
    this.#headWaiters = [];
    this.#wake();
  }

  #wake(): void {
    for (const reader of this.#readers) reader.wake();
  }

  #closed(reader: DownloadBody): void {
    this.#readers.delete(reader);
    this.#received.removeReader(reader);
    this.leave();
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(delayMs, resolve);
      this.#abort.signal.addEventListener(
        "abort",
        () => {
          cancel();
          resolve();
        },
        { once: true },
      );
    });
  }
}

/** Ends an answer whose body nobody wants: unread, it would keep its connection. */
function discard(response: MirrorResponse): void {
  response.body[Symbol.asyncIterator]()
    .return?.()
    .catch(() => undefined);
}

/** Asked anew each time: an await may lie between. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

function commonSize(accepted: readonly Expectation[]): number | undefined {
  const sizes = new Set(accepted.map(({ sizeBytes }) => sizeBytes));
  return sizes.size === 1 ? accepted[0]?.sizeBytes : undefined;
}
