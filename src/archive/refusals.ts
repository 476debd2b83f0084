/** Documents and indexes that were refused, and why: counted, logged, and kept for who asks. */
import { BoundedMap } from "../base/bounded-map.ts";
import type { Counters } from "../base/counters.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/ports.ts";
import { hostOf } from "./names.ts";

export interface Refusal {
  readonly name: string;
  readonly reason: string;
  /** Milliseconds since 1970 UTC. */
  readonly atMs: number;
}

/** `contradicted`: a signature or a verified Release says otherwise. `malformed`: cannot be read. */
export type RefusalKind = "contradicted" | "malformed";

export class Refusals {
  readonly #components: { readonly clock: Clock; readonly log: Log; readonly counters: Counters };
  readonly #byName = new BoundedMap<string, Refusal>(limits.refusals);

  constructor(components: {
    readonly clock: Clock;
    readonly log: Log;
    readonly counters: Counters;
  }) {
    this.#components = components;
  }

  add(what: "document" | "index", kind: RefusalKind, name: string, reason: string): void {
    const { clock, counters, log } = this.#components;
    counters.add(`archive.${what}.${kind}`);
    log.warn(`archive.${what}.${kind}`, { name, reason });
    this.#byName.set(name, { name, reason, atMs: clock.wallMs() });
  }

  /** A later version of the same name was taken. */
  lift(name: string): void {
    this.#byName.delete(name);
  }

  ofHost(host: string): readonly Refusal[] {
    return [...this.#byName.entries()]
      .map(([, refusal]) => refusal)
      .filter(({ name }) => hostOf(name) === host);
  }
}
