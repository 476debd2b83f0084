/**
 * Who has asked for which file lately, and serves peers itself: whoever asks for a file is told of
 * others that want it, also by those who have it whole.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import { scopeOf, type Endpoint } from "../base/endpoint.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Random } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Uploader } from "../swarm/upload-gate.ts";

interface Asker {
  readonly endpoint: Endpoint;
  readonly atMs: number;
}

export class PeerAskers {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #files = new BoundedMap<Sha256, BoundedMap<string, Asker>>(limits.askedFiles);

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = clock;
    this.#random = random;
  }

  note(sha256: Sha256, endpoint: Endpoint, near: boolean): void {
    const askers = this.#files.get(sha256) ?? new BoundedMap<string, Asker>(limits.askersPerFile);
    this.#files.set(sha256, askers);
    // One far host is one peer, however many ports it names.
    const key = near ? endpoint.text : endpoint.address;
    askers.set(key, { endpoint, atMs: this.#clock.monotonicMs() });
  }

  /** A sample of those and of `more`, without the one that asks, and without what it may not know. */
  sample(
    sha256: Sha256,
    who: Uploader & { readonly self: Endpoint | undefined },
    from: Sampling,
  ): Endpoint[] {
    const sinceMs = this.#clock.monotonicMs() - limits.askerMs;
    const askers = [...(this.#files.get(sha256)?.entries() ?? [])].map(([, asker]) => asker);
    const known = new Map<string, Endpoint>();
    const lately = askers.filter(({ atMs }) => atMs >= sinceMs).map(({ endpoint }) => endpoint);
    for (const endpoint of [...from.more, ...lately]) {
      if (mayKnow(who, endpoint) && endpoint.text !== who.self?.text) {
        known.set(endpoint.text, endpoint);
      }
    }
    const left = [...known.values()];
    const chosen: Endpoint[] = [];
    while (chosen.length < from.most && left.length > 0) {
      const [drawn] = left.splice(Math.floor(this.#random.next() * left.length), 1);
      if (drawn !== undefined) chosen.push(drawn);
    }
    return chosen;
  }
}

export interface Sampling {
  readonly more: readonly Endpoint[];
  readonly most: number;
}

/** Private addresses mean nothing, or something else, beyond their network. */
function mayKnow({ address, near }: Uploader, told: Endpoint): boolean {
  const scope = scopeOf(told.address);
  if (scope === "global") return true;
  if (scope === "loopback") return scopeOf(address) === "loopback";
  return scope === "private" && near;
}
