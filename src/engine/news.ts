/** A peer's state again and again in one answer, each time that it changes (PROTOCOL.md, "News"). */
import type { Clock } from "../base/ports.ts";
import { News } from "../swarm/news.ts";
import { wireBounds } from "../swarm/peer-wire.ts";
import type { Failure } from "../swarm/types.ts";
import type { Body } from "./body.ts";

/** Of an answer that goes on: how often at most, in milliseconds. */
export const newsHeader = "apt-p2p-every";

/** Before each state: its length, 32 bits, most significant byte first. */
const lengthBytes = 4;

export interface NewsSource {
  /** As it is now, encoded; undefined: there is none any more. `last`: nothing will follow it. */
  readonly state: () => { readonly bytes: Uint8Array; readonly last: boolean } | undefined;
  /** Whether nothing will follow. */
  readonly whole: () => boolean;
  /** Gets what to call when it has changed → how to stop that. */
  readonly listen: (changed: () => void) => () => void;
  /** Called once at the end. */
  readonly over: () => void;
}

/** States as they come to be, for one who follows. One at a time is encoded: what comes between is not. */
export class NewsBody implements Body {
  readonly #source: NewsSource;
  readonly #news: News;
  readonly #stop: () => void;
  #due = true;
  #last = false;
  #closed = false;
  #wakeUp: () => void = () => undefined;

  constructor(clock: Clock, everyMs: number, source: NewsSource) {
    this.#source = source;
    this.#news = new News(clock, everyMs, (last) => {
      this.#last ||= last;
      this.#wake();
    });
    this.#stop = source.listen(() => this.#news.changed(source.whole()));
  }

  async next(): Promise<Buffer | undefined> {
    if (!this.#due && !this.#last && !this.#closed) {
      await new Promise<void>((resolve) => (this.#wakeUp = resolve));
    }
    if (!this.#due || this.#closed) return undefined;
    this.#due = false;
    const state = this.#source.state();
    if (state === undefined) return undefined;
    if (state.last) this.#last = true;
    const frame = Buffer.allocUnsafe(lengthBytes + state.bytes.length);
    frame.writeUInt32BE(state.bytes.length);
    frame.set(state.bytes, lengthBytes);
    return frame;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#news.end();
    this.#stop();
    this.#source.over();
    this.#wakeUp();
  }

  #wake(): void {
    this.#due = true;
    this.#wakeUp();
  }
}

/** So many more states than in that time would have been told are no news. */
const fewMore = 4;

/**
 * The other end: calls `told` with each state until the answer is over → what was wrong with it. One
 * without any state would be asked for at once again. Rejects as the body does.
 */
export async function readNews(
  body: AsyncIterable<Buffer>,
  { clock, everyMs }: { readonly clock: Clock; readonly everyMs: number },
  told: (bytes: Buffer) => Failure | undefined,
): Promise<Failure | undefined> {
  const startedMs = clock.monotonicMs();
  let states = 0;
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of body) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (;;) {
      const length = rest.length < lengthBytes ? undefined : rest.readUInt32BE();
      if (length === undefined) break;
      if (length > wireBounds.swarmBytes) return { kind: "wrong", what: "a state without end" };
      if (rest.length < lengthBytes + length) break;
      const due = fewMore + (2 * (clock.monotonicMs() - startedMs)) / everyMs;
      if (++states > due) return { kind: "wrong", what: "more news than can be" };
      const failure = told(rest.subarray(lengthBytes, lengthBytes + length));
      if (failure !== undefined) return failure;
      rest = rest.subarray(lengthBytes + length);
    }
  }
  return states > 0 && rest.length === 0 ? undefined : { kind: "broken" };
}
