/**
 * The peers that another request could go to: kept up to date as requests begin and end, since to look
 * for them at each piece would cost more than the piece. Who has nothing for us is left out until it has
 * told of more, or something that it has is missing again.
 */
import type { Peer } from "./peer.ts";
import type { Picker } from "./picker.ts";
import type { TransferPolicy } from "./policy.ts";

export class OpenPeers {
  readonly #policy: TransferPolicy;
  readonly #picker: Picker;
  /** In no order; each knows its place. */
  readonly #open: Peer[] = [];
  readonly #barren = new Set<Peer>();
  /** Used again and again. */
  readonly #ready: Peer[] = [];

  constructor(policy: TransferPolicy, picker: Picker) {
    this.#policy = policy;
    this.#picker = picker;
  }

  /** Requests of it, what it has, or whether it is one of ours may have changed. */
  update(peer: Peer): void {
    const at = peer.openAt;
    const open = peer.open(this.#policy) && !this.#barren.has(peer);
    if (open === at >= 0) return;
    if (open) {
      peer.openAt = this.#open.length;
      this.#open.push(peer);
      return;
    }
    const last = this.#open.pop();
    peer.openAt = -1;
    if (last === undefined || last === peer) return;
    this.#open[at] = last;
    last.openAt = at;
  }

  /** It has other pieces than before, or is dropped. */
  changed(peer: Peer): void {
    this.#barren.delete(peer);
    this.update(peer);
  }

  /** It has no piece that is neither here nor under way. */
  hasNothing(peer: Peer): void {
    this.#barren.add(peer);
    this.update(peer);
  }

  /** Those that do not rest. The array is the caller's until the next call. */
  ready(nowMs: number): Peer[] {
    this.#revive(this.#picker.takeFreed());
    const ready = this.#ready;
    ready.length = 0;
    for (const peer of this.#open) if (nowMs >= peer.restUntilMs) ready.push(peer);
    return ready;
  }

  /** Who has one of these has something for us again; undefined: of all it may be so. */
  #revive(freed: readonly number[] | undefined): void {
    if (freed?.length === 0) return;
    for (const peer of this.#barren) {
      if (freed?.some((piece) => peer.has(piece)) !== false) this.changed(peer);
    }
  }
}
