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
  /** So many bytes have arrived. */
  readonly arrived: (bytes: number) => void;
}

/** Quanta of one stream that may be on their way. */
const windowQuanta = 3;

export class Stream {
  readonly from: Host;
  readonly to: Host;
  readonly events: StreamEvents;
  /** Bytes that have not left. */
  left: number;
  /** Quanta that are on their way. */
  flying = 0;
  /** It waits in its sender's row. */
  ready = false;
  cancelled = false;

  constructor(from: Host, to: Host, bytes: number, events: StreamEvents) {
    this.from = from;
    this.to = to;
    this.left = bytes;
    this.events = events;
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
  readonly id: number;
  /** Bytes that have left. */
  sentBytes = 0;
  readonly #clock: VirtualClock;
  readonly #quantumBytes: number;
  readonly #latencyMs: number;
  #upPerMs: number;
  readonly #downPerMs: number;
  readonly #row: Stream[] = [];
  #serving: Stream | undefined;
  #servingBytes = 0;
  readonly #upJob: Job;
  /** Quanta that arrive, in their order. */
  #arrivals: { stream: Stream; bytes: number }[] = [];
  #arrivalsHead = 0;
  #receiving = false;
  readonly #downJob: Job;

  constructor(
    { clock, id }: { readonly clock: VirtualClock; readonly id: number },
    rates: HostRates,
    { quantumBytes, latencyMs }: { readonly quantumBytes: number; readonly latencyMs: number },
  ) {
    this.id = id;
    this.#clock = clock;
    this.#quantumBytes = quantumBytes;
    this.#latencyMs = latencyMs;
    this.#upPerMs = rates.up / 1000;
    this.#downPerMs = rates.down / 1000;
    this.#upJob = { cancelled: false, run: () => this.#left() };
    this.#downJob = { cancelled: false, run: () => this.#arrived() };
  }

  /** From now on its uplink has this rate, in bytes a second. */
  throttle(up: number): void {
    this.#upPerMs = up / 1000;
  }

  send(stream: Stream): void {
    stream.ready = true;
    this.#row.push(stream);
    this.#serve();
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
      stream.left = Math.max(0, stream.left - bytes);
      stream.flying++;
      stream.to.#arrive(stream, bytes);
      this.#again(stream);
    }
    this.#serve();
  }

  /** Whether a stream may send more. */
  #again(stream: Stream): void {
    if (stream.left <= 0 || stream.ready || stream.flying >= windowQuanta) return;
    if (this.#serving === stream) return;
    stream.ready = true;
    this.#row.push(stream);
  }

  #arrive(stream: Stream, bytes: number): void {
    this.#arrivals.push({ stream, bytes });
    if (!this.#receiving) this.#receive(this.#latencyMs);
  }

  #receive(latencyMs: number): void {
    const next = this.#arrivals[this.#arrivalsHead];
    if (next === undefined) {
      this.#arrivals = [];
      this.#arrivalsHead = 0;
      this.#receiving = false;
      return;
    }
    this.#receiving = true;
    this.#clock.schedule(latencyMs + next.bytes / this.#downPerMs, this.#downJob);
  }

  #arrived(): void {
    const next = this.#arrivals[this.#arrivalsHead++];
    if (this.#arrivalsHead > 1024) {
      this.#arrivals = this.#arrivals.slice(this.#arrivalsHead);
      this.#arrivalsHead = 0;
    }
    if (next !== undefined) {
      const { stream, bytes } = next;
      stream.flying--;
      stream.from.#again(stream);
      stream.from.#serve();
      if (!stream.cancelled) stream.events.arrived(bytes);
    }
    this.#receive(0);
  }
}
