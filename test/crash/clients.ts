/** Many clients at once that check every byte they get, in whole files and in ranges. */
import { Agent, get, type IncomingMessage } from "node:http";
import type { SeededRandom } from "../../src/sim/seeded-random.ts";
import { content, contentCount } from "./contents.ts";
import { pathOf } from "./origin.ts";

export interface ClientsResult {
  readonly requests: number;
  readonly whole: number;
  readonly ranges: number;
  /** Answers that the crash cut. */
  readonly cut: number;
  readonly checkedBytes: number;
}

const parallel = 12;

/**
 * Keeps requesting until `stop` is called; connections that break afterwards are the crash, any
 * other oddity is a violation and rejects.
 */
export class Clients {
  readonly #port: number;
  readonly #originHost: string;
  readonly #random: SeededRandom;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: parallel });
  readonly #result = { requests: 0, whole: 0, ranges: 0, cut: 0, checkedBytes: 0 };
  readonly #running: Promise<void>;
  #stopped = false;
  #violation: Error | undefined;

  constructor(port: number, originHost: string, random: SeededRandom) {
    this.#port = port;
    this.#originHost = originHost;
    this.#random = random;
    const loops = Array.from({ length: parallel }, () => this.#loop());
    this.#running = Promise.all(loops).then(() => undefined);
    // It is looked at in `end`.
    this.#running.catch(() => undefined);
  }

  /** From now on broken connections are no violation. Call right before the kill. */
  stop(): void {
    this.#stopped = true;
  }

  /** Rejects with the first violation. */
  async end(): Promise<ClientsResult> {
    await this.#running;
    this.#agent.destroy();
    if (this.#violation !== undefined) throw this.#violation;
    return this.#result;
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  async #loop(): Promise<void> {
    while (!this.#isStopped() && this.#violation === undefined) {
      const index = this.#random.below(contentCount);
      try {
        await this.#request(index);
      } catch (error) {
        if (!this.#isStopped()) this.#violation ??= error as Error;
      }
    }
  }

  async #request(index: number): Promise<void> {
    const one = content(index);
    const size = one.bytes.length;
    const ranged = size > 2 && this.#random.chance(0.35);
    const from = ranged ? this.#random.below(size - 1) : 0;
    const to =
      ranged && this.#random.chance(0.5) ? from + this.#random.below(size - from) : size - 1;
    const asked = to === size - 1 ? `bytes=${from}-` : `bytes=${from}-${to}`;
    const response = await this.#get(pathOf(one), ranged ? { Range: asked } : {});
    const partial = response.statusCode === 206;
    if (!partial && response.statusCode !== 200) {
      response.resume();
      throw new Error(`status ${response.statusCode} for content ${index}`);
    }
    if (partial && response.headers["content-range"] !== `bytes ${from}-${to}/${size}`) {
      throw new Error(`Content-Range ${response.headers["content-range"]} for ${asked}`);
    }
    const expected = partial ? one.bytes.subarray(from, to + 1) : one.bytes;
    await this.#check(response, expected, index);
    this.#result[partial ? "ranges" : "whole"] += 1;
  }

  #get(path: string, headers: Record<string, string>): Promise<IncomingMessage> {
    this.#result.requests += 1;
    return new Promise((resolve, reject) => {
      const options = { agent: this.#agent, host: "127.0.0.1", port: this.#port, headers };
      get({ ...options, path: `/${this.#originHost}${path}` }, resolve).on("error", reject);
    });
  }

  async #check(response: IncomingMessage, expected: Buffer, index: number): Promise<void> {
    let at = 0;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        if (!chunk.equals(expected.subarray(at, at + chunk.length))) {
          this.#violation ??= new Error(`wrong bytes at ${at} of content ${index}`);
          return;
        }
        at += chunk.length;
        this.#result.checkedBytes += chunk.length;
      }
    } catch (error) {
      if (this.#stopped) this.#result.cut += 1;
      throw error;
    }
    if (at !== expected.length) {
      this.#violation ??= new Error(`${at} instead of ${expected.length} bytes of ${index}`);
    }
  }
}
