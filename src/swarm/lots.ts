/**
 * Who is remembered of more peers than can be. Each group of peers has a lot that nobody else can know,
 * the same each time it is met: so those that are kept are a fair sample of all that were ever met, no
 * matter when and how often, and it comes to an end.
 */
import type { Random } from "../base/ports.ts";
import { mixed } from "./mirror-turns.ts";
import type { Peer } from "./peer.ts";

export class Lots {
  readonly #random: Random;
  #secret: number | undefined;
  /** The worst lot of those that could go when they were last looked at; Infinity: look again. */
  #worst = Infinity;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Who of these goes for one of this group; undefined: nobody. */
  loserTo(group: string, peers: readonly Peer[]): Peer | undefined {
    const lot = this.#lotOf(group);
    if (lot >= this.#worst) return undefined;
    let loser: Peer | undefined;
    this.#worst = -1;
    for (const peer of peers) {
      if (peer.used || peer.have === "whole") continue;
      const other = this.#lotOf(peer.info.group);
      if (other > this.#worst) [this.#worst, loser] = [other, peer];
    }
    return lot < this.#worst ? loser : undefined;
  }

  #lotOf(group: string): number {
    this.#secret ??= Math.floor(this.#random.next() * 2 ** 32);
    let hash = this.#secret;
    for (let at = 0; at < group.length; at++) {
      hash = Math.imul(hash ^ group.charCodeAt(at), 0x01000193);
    }
    return mixed(hash);
  }
}
