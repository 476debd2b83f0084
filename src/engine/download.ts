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
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Body } from "./body.ts";
import { Readers } from "./download-readers.ts";
import { Collected } from "./collected.ts";
import { parseContentRange } from "./conditional.ts";
import { scopeOf } from "./download-plan.ts";
import type { DownloadHooks, DownloadPlan, Head, Outcome } from "./download-plan.ts";
import { Interest } from "./interest.ts";
import type { Mirror, MirrorResponse } from "./ports.ts";
import { Received } from "./received.ts";
import { pieceAt, pieceStart } from "../swarm/shape.ts";
import {
  commonSize,
  continues,
  discard,
  ifRangeOf,
  isAborted,
  mostBytes,
  partEnd,
  partOf,
} from "./resume-rules.ts";
import { takeFromSwarm } from "./swarm-intake.ts";
import { Waiting } from "./waiting.ts";
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
  readonly #readers: Readers;
  #left = false;
  #head: Head | undefined;
  readonly #heads = new Waiting<Head>();
  /** The body can become one of the accepted files: the tail is held back until it has. */
  #provable: boolean;
  #complete = false;
  #error: AptP2pError | undefined;
  #collected: Collected | undefined;
  readonly #interest: Interest;

  constructor(
    components: { readonly mirror: Mirror; readonly clock: Clock; readonly hooks: DownloadHooks },
    plan: DownloadPlan,
  ) {
    this.#mirror = components.mirror;
    this.#clock = components.clock;
    this.#hooks = components.hooks;
    this.#plan = plan;
    this.#interest = new Interest(components.clock, () => this.abort());
    this.#received = new Received(plan.sink);
    this.#readers = new Readers({
      received: () => this.#received,
      releasedBytes: () => this.#released(),
      error: () => this.#error,
      complete: () => this.#complete,
      left: () => this.leave(),
    });
    this.#provable = plan.accepted.length > 0;
    this.#collected = plan.collect ? new Collected() : undefined;
  }

  get receivedBytes(): number {
    return this.#received.bytes;
  }

  get sizeBytes(): number | undefined {
    return this.#head?.sizeBytes ?? this.#plan.accepted[0]?.sizeBytes;
  }

  get waiters(): number {
    return this.#interest.count;
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
    this.#interest.join();
  }

  leave(): void {
    const over = this.#complete || this.#error !== undefined;
    // Nothing can be kept of a body that is not to be proven: it ends with its last reader.
    this.#interest.leave(over ? undefined : this.#provable ? limits.lingerMs : 0);
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
      return this.#received.readInto(into, position);
    }
    const piece = pieceAt(position);
    const waiting = this.#session?.waiting(piece);
    if (waiting !== undefined) return waiting.copy(into, 0, position - pieceStart(piece));
    return (await this.#plan.sink.readAhead?.(into, position)) ?? 0;
  }

  /** Resolves when nobody is left; from then on nobody can join. Called after run(). */
  async left(): Promise<void> {
    await this.#interest.gone();
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
    return this.#heads.wait();
  }

  /** Bytes [start, end) of the body; `end` undefined: to its end. Holds the caller's join(). */
  body(start: number, end: number | undefined): Body {
    return this.#readers.open(start, end);
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
      return error.code === "MISMATCH" ? { kind: "mismatch" } : { kind: "failed", error };
    } finally {
      this.#interest.close();
    }
  }

  /** Throws away what is held. Nobody has been given any of it. */
  async #restart(): Promise<void> {
    await this.#plan.sink.restart();
    this.#received = new Received(this.#plan.sink);
    this.#readers.follow(this.#received);
    this.#collected = this.#plan.collect ? new Collected() : undefined;
  }

  /** All bytes are here → what they are; undefined: to be fetched again, unseen. */
  #judge(): Outcome | undefined {
    const head = this.#head;
    if (head === undefined) throw new Error("a body came without a head");
    const collected = this.#collected?.bytes;
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
    if (this.#readers.given) throw MISMATCH;
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
      return await takeFromSwarm(session, size, {
        position: () => this.#received.bytes,
        begin: () => this.#setHead({ status: 200, headers: {}, global: false, peers: true }, size),
        put: (chunk) => this.#keep(chunk),
        aside: (piece) => this.#plan.sink.takePiece?.(piece) ?? Promise.resolve(undefined),
        room: () => this.#makeRoom(this.#abort.signal),
        full: () => this.#received.full,
        ended: () => isAborted(this.#abort.signal),
        // An answer that cannot be the file is passed on, and nothing else counts.
        stream: () => this.#streamFor(session).then(() => this.#provable),
      });
    } finally {
      this.#hooks.onSwarmEnd?.(session);
      session.close();
      this.#session = undefined;
    }
  }

  /** The mirror's bytes until the swarm wants no more of them. */
  async #streamFor(session: SwarmSession): Promise<void> {
    this.#stream = new AbortController();
    const { signal } = this.#stream;
    // Of what is not the file apt gets all.
    const stop = (): void => (this.#provable ? this.#stream.abort() : undefined);
    const wantedBytes = session.streamStarts(stop);
    try {
      await this.#receiveOnce(wantedBytes);
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
    return (
      this.#head?.status === 200 && (this.#provable || ifRangeOf(this.#head.headers) !== undefined)
    );
  }

  /** Without a digest the mirror's own marks must say that it is the same file. */
  #marks(): Readonly<Record<string, string>> | undefined {
    return this.#provable ? undefined : (this.#head?.headers ?? {});
  }

  /** `wantedBytes`: no more than these, if the mirror sends parts. */
  async #receiveOnce(wantedBytes?: number): Promise<void> {
    const held = this.#received.bytes;
    const part = partOf(held, wantedBytes, this.#marks());
    const response = await this.#mirror.fetch(
      {
        ...{ method: "GET", url: this.#plan.url, urgent: this.#plan.urgent },
        headers: { ...this.#plan.headers, ...part },
      },
      this.#stream.signal,
    );
    let skip: number | undefined;
    try {
      skip = this.#place(response, held, part !== undefined);
    } catch (thrown) {
      discard(response);
      throw thrown;
    }
    if (skip === undefined) {
      discard(response);
      await this.#restart();
      return this.#receiveOnce();
    }
    await this.#take(response, skip, partEnd(response, wantedBytes) ?? this.#head?.sizeBytes);
  }

  /**
   * Fits an answer to what is held → how many of its first bytes are held already; undefined: the
   * mirror cannot go on from there, and what was held is thrown away. `part`: it was asked for one.
   */
  #place(response: MirrorResponse, held: number, part: boolean): number | undefined {
    const { status, headers } = response;
    this.#mirrorHead(response);
    if (
      part &&
      status === 206 &&
      continues(headers, { held, size: this.sizeBytes, marks: this.#marks() })
    ) {
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
    if (part && (status === 206 || status === 416)) return undefined;
    const length = Number(headers["content-length"] ?? "NaN");
    this.#setHead(response, Number.isNaN(length) ? undefined : length);
    return Math.min(held, this.#received.bytes);
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
    this.#heads.resolve(this.#head);
  }

  /** `end`: of the answer; undefined: it is not known. */
  async #take(response: MirrorResponse, skipBytes: number, end: number | undefined): Promise<void> {
    const size = this.#head?.sizeBytes;
    let skip = skipBytes;
    const { signal } = this.#stream;
    for await (const piece of response.body) {
      if (isAborted(signal)) throw new AptP2pError("CLOSED", "nobody waits any more");
      this.#hooks.onReceived(piece.length);
      const chunk = skip > 0 ? piece.subarray(Math.min(skip, piece.length)) : piece;
      skip -= piece.length - chunk.length;
      if (chunk.length === 0) continue;
      if (
        this.#received.bytes + chunk.length >
        (size ?? mostBytes(this.#plan.accepted, this.#provable))
      )
        this.#tooMuch();
      this.#keep(chunk);
      if (this.#provable && this.#session?.streamed(chunk, this.#received.bytes) === false) return;
      if (this.#received.full) await this.#makeRoom(signal);
    }
    if (end !== undefined && this.#received.bytes < end) {
      throw new AptP2pError("UPSTREAM", `the mirror sent ${this.#received.bytes} of ${end} bytes`);
    }
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
    this.#collected?.add(chunk);
    this.#readers.wake();
  }

  /** How far readers may go. */
  #released(): number {
    const received = this.#received.bytes;
    if (this.#complete || !this.#provable) return received;
    const end = this.#head?.sizeBytes ?? received;
    return Math.max(0, Math.min(received, end - limits.heldBackTailBytes));
  }

  #finish(): void {
    this.#complete = true;
    this.#readers.wake();
  }

  #fail(error: AptP2pError): void {
    this.#error = error;
    this.#heads.reject(error);
    this.#readers.wake();
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
