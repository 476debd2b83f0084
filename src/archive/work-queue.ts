/**
 * Reading of indexes in the background: one at a time, in order, bounded; and who waits for it.
 *
 * A scope is the start of FileNames (`host`, `host/debian`) that some work may tell something about;
 * "" is every name. Work that fails is logged and counted, and never stops the queue.
 */
import type { Counters } from "../base/counters.ts";
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/ports.ts";

export interface WorkQueueComponents {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

interface Work {
  readonly scope: string;
  /** Work with the key of one that still waits adds nothing. */
  readonly key: string;
  readonly run: () => Promise<void>;
  readonly finished: Promise<void>;
  readonly finish: () => void;
}

export class WorkQueue {
  readonly #components: WorkQueueComponents;
  /** At most limits.indexQueue. */
  readonly #waiting: Work[] = [];
  /** Everything under way or waiting, also outside the queue: scope and end. */
  readonly #open = new Set<{ readonly scope: string; readonly finished: Promise<void> }>();
  #draining = false;
  #closed = false;

  constructor(components: WorkQueueComponents) {
    this.#components = components;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Appends work. Resolves when it is done, or will not be done (queue full or closed). */
  add(scope: string, key: string, run: () => Promise<void>): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const same = this.#waiting.find((work) => work.key === key);
    if (same !== undefined) return same.finished;
    if (this.#waiting.length >= limits.indexQueue) {
      this.#components.counters.add("archive.queue.refused");
      this.#components.log.warn("archive.queue.full", { limit: limits.indexQueue, key });
      return Promise.resolve();
    }
    const { promise, resolve } = deferred();
    const work: Work = { scope, key, run, finished: promise, finish: resolve };
    this.#waiting.push(work);
    this.#open.add(work);
    if (!this.#draining) void this.#drain();
    return work.finished;
  }

  /** Runs work at once, beside the queue; `settled` waits for it as well. */
  async beside<T>(scope: string, run: () => Promise<T>): Promise<T> {
    const { promise, resolve } = deferred();
    const entry = { scope, finished: promise };
    this.#open.add(entry);
    try {
      return await run();
    } finally {
      this.#open.delete(entry);
      resolve();
    }
  }

  /** Resolves when no work is open that could tell something about `name`, or after `waitMs`. */
  async settled(name: string, waitMs: number): Promise<void> {
    if (this.#relevant(name).length === 0) return;
    const expiry = { expired: false, expire: (): void => undefined };
    const expired = new Promise<void>((resolve) => (expiry.expire = resolve));
    const cancel = this.#components.clock.after(waitMs, () => {
      expiry.expired = true;
      expiry.expire();
    });
    for (let relevant = this.#relevant(name); relevant.length > 0;) {
      await Promise.race([expired, Promise.all(relevant)]);
      relevant = expiry.expired ? [] : this.#relevant(name);
    }
    cancel();
    if (expiry.expired) this.#components.counters.add("archive.settled.expired");
  }

  /** Resolves when nothing is open. */
  async idle(): Promise<void> {
    while (this.#open.size > 0) await Promise.all([...this.#open].map(({ finished }) => finished));
  }

  /** Drops what waits; resolves when what runs has ended (it looks at `closed`). */
  async close(): Promise<void> {
    this.#closed = true;
    for (const work of this.#waiting.splice(0)) this.#end(work);
    await this.idle();
  }

  #relevant(name: string): Promise<void>[] {
    const found: Promise<void>[] = [];
    for (const { scope, finished } of this.#open) {
      const covers = scope === "" || name === scope || name.startsWith(`${scope}/`);
      if (covers) found.push(finished);
    }
    return found;
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    // The caller goes on first: whatever it is about to add is in the queue by then.
    await Promise.resolve();
    for (let work = this.#waiting.shift(); work !== undefined; work = this.#waiting.shift()) {
      try {
        await work.run();
      } catch (thrown) {
        this.#components.counters.add("archive.work.failed");
        this.#components.log.warn("archive.work.failed", {
          key: work.key,
          error: errorText(thrown),
        });
      }
      this.#end(work);
    }
    this.#draining = false;
  }

  #end(work: Work): void {
    this.#open.delete(work);
    work.finish();
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
