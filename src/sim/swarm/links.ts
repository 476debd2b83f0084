/**
 * Hosts with an uplink and a downlink each, and streams of bytes between them, in virtual time. An
 * uplink serves its streams in turn, a quantum each; what has left waits in the receiver's downlink.
 * A stream does not run ahead of its receiver by more than a few quanta, as TCP would not.
 *
 * There are millions of quanta: nothing is allocated for one.
 */
import type { Job } from "../timer-heap.ts";
import type { VirtualClock } from "../virtual-clock.ts";

export interface StreamEvents {
  /** So many bytes have arrived. Not called after `cancel`. */
  arrived(bytes: number): void;
  /** All that was put in has left the sender. */
  drained?(): void;
}

/** Quanta of one stream that may be on their way, and never less than this, as TCP's windows. */
const windowQuanta = 3;
const windowMs = 5;
/** Rows are made short again when so much of them is past. */
const pastQuanta = 1024;

export class Stream {
  readonly from: Host;
  readonly to: Host;
  readonly latencyMs: number;
  readonly events: StreamEvents;
  /** Bytes that have not left. */
  left = 0;
  /** Quanta that are on their way, of at most so many. */
  flying = 0;
  readonly window: number;
  /** It waits in its sender's row. */
  ready = false;
  cancelled = false;

  constructor(from: Host, to: Host, latencyMs: number, events: StreamEvents) {
    this.from = from;
    this.to = to;
    this.latencyMs = latencyMs;
    this.events = events;
    this.window = Math.max(windowQuanta, Math.ceil(from.quantaIn(latencyMs + windowMs)));
  }

  /** So many bytes more are to be sent. */
  put(bytes: number): void {
    if (this.cancelled) return;
    this.left += bytes;
    this.from.offer(this);
  }

  /** Nothing more leaves, and nothing is told of what arrives. */
  cancel(): void {
    this.cancelled = true;
    this.left = 0;
  }
}

export interface HostRates {
  /** Bytes a second. */
  readonly up: number;
  readonly down: number;
}

export class Host {
  /** Bytes that have left. */
  sentBytes = 0;
  readonly #clock: VirtualClock;
  readonly #quantumBytes: number;
  readonly #upPerMs: number;
  readonly #downPerMs: number;
  readonly #row: Stream[] = [];
  #serving: Stream | undefined;
  #servingBytes = 0;
  readonly #upJob: Job;
  /** Quanta that arrive, in their order: whose, how much, and when at the earliest. */
  readonly #streams: Stream[] = [];
  readonly #bytes: number[] = [];
  readonly #dueMs: number[] = [];
  #head = 0;
  #receiving = false;
  readonly #downJob: Job;

  constructor(clock: VirtualClock, rates: HostRates, quantumBytes: number) {
    this.#clock = clock;
    this.#quantumBytes = quantumBytes;
    this.#upPerMs = rates.up / 1000;
    this.#downPerMs = rates.down / 1000;
    this.#upJob = { cancelled: false, run: () => this.#left() };
    this.#downJob = { cancelled: false, run: () => this.#arrived() };
  }

  /** Quanta that leave in so many milliseconds. */
  quantaIn(ms: number): number {
    return (ms * this.#upPerMs) / this.#quantumBytes;
  }

  /** A stream has something to send. */
  offer(stream: Stream): void {
    this.#again(stream);
    this.#serve();
  }

  #again(stream: Stream): void {
    if (stream.left <= 0 || stream.ready || stream.flying >= stream.window) return;
    if (this.#serving === stream) return;
    stream.ready = true;
    this.#row.push(stream);
  }

  #serve(): void {
    while (this.#serving === undefined) {
      const stream = this.#row.shift();
      if (stream === undefined) return;
      stream.ready = false;
      if (stream.left <= 0) continue;
      this.#serving = stream;
      this.#servingBytes = Math.min(this.#quantumBytes, stream.left);
      this.#clock.schedule(this.#servingBytes / this.#upPerMs, this.#upJob);
    }
  }

  #left(): void {
    const stream = this.#serving;
    this.#serving = undefined;
    if (stream !== undefined) {
      const bytes = this.#servingBytes;
      this.sentBytes += bytes;
      stream.flying++;
      stream.to.#arrive(stream, bytes);
      if (!stream.cancelled) {
        stream.left -= bytes;
        if (stream.left <= 0) stream.events.drained?.();
        this.#again(stream);
      }
    }
    this.#serve();
  }

  #arrive(stream: Stream, bytes: number): void {
    const dueMs = this.#clock.monotonicMs() + stream.latencyMs;
    // Behind all that come no later; the one that is being received stays in front.
    let at = this.#streams.length;
    const first = this.#head + (this.#receiving ? 1 : 0);
    while (at > first && (this.#dueMs[at - 1] ?? 0) > dueMs) at--;
    if (at === this.#streams.length) {
      this.#streams.push(stream);
      this.#bytes.push(bytes);
      this.#dueMs.push(dueMs);
    } else {
      this.#streams.splice(at, 0, stream);
      this.#bytes.splice(at, 0, bytes);
      this.#dueMs.splice(at, 0, dueMs);
    }
    if (!this.#receiving) this.#receive();
  }

  #receive(): void {
    this.#receiving = this.#head < this.#streams.length;
    if (!this.#receiving) {
      this.#forget();
      return;
    }
    const waitMs = Math.max(0, (this.#dueMs[this.#head] ?? 0) - this.#clock.monotonicMs());
    this.#clock.schedule(waitMs + (this.#bytes[this.#head] ?? 0) / this.#downPerMs, this.#downJob);
  }

  #arrived(): void {
    const stream = this.#streams[this.#head];
    const bytes = this.#bytes[this.#head] ?? 0;
    this.#head++;
    if (this.#head > pastQuanta) this.#forget();
    this.#receive();
    if (stream === undefined) return;
    stream.flying--;
    stream.from.offer(stream);
    if (!stream.cancelled) stream.events.arrived(bytes);
  }

  #forget(): void {
    this.#streams.splice(0, this.#head);
    this.#bytes.splice(0, this.#head);
    this.#dueMs.splice(0, this.#head);
    this.#head = 0;
  }
}
