/**
 * What one lookup tells about a part of the id space: every live node that is nearer to its target
 * than the farthest one found. From that follow the closest nodes of all keys whose own k closest
 * must lie in that part, so that one lookup serves a whole block of neighbouring keys.
 */
import { commonPrefix, compareDistance, sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Contact } from "./types.ts";

export interface ViewSettings {
  readonly k: number;
  /** Nodes that the lookup was to find; with fewer the network has no more. */
  readonly width: number;
}

export class NetworkView {
  readonly target: NodeId;
  /** All nodes of the network are known. */
  readonly complete: boolean;
  /** Keys that share fewer leading bits with the target cannot be served. */
  readonly sharedBits: number;
  readonly #k: number;
  /** First 32 bits of the distance from the target up to which all nodes are known. */
  readonly #reach: number;
  #contacts: readonly Contact[];

  /** `closest`: what answered, nearest to `target` first, at most `width`. */
  constructor(target: NodeId, closest: readonly Contact[], { k, width }: ViewSettings) {
    this.target = target;
    this.#k = k;
    this.#contacts = closest;
    const farthest = closest.at(-1);
    this.complete = closest.length < width || farthest === undefined;
    this.sharedBits =
      this.complete || farthest === undefined ? 0 : commonPrefix(target, farthest.id);
    this.#reach = farthest === undefined ? 0 : head(target, farthest.id);
  }

  get contacts(): readonly Contact[] {
    return this.#contacts;
  }

  /** Whether a live node with this id would have been found. */
  knows(id: NodeId): boolean {
    return this.complete || head(this.target, id) < this.#reach;
  }

  /** Somebody turned out not to be there. */
  remove({ endpoint: { text } }: Contact): void {
    this.#contacts = this.#contacts.filter(({ endpoint }) => endpoint.text !== text);
  }

  /**
   * The known nodes, nearest to `key` first; undefined if some of its k closest may be unknown.
   *
   * Every node nearer to the key than the k-th one must be nearer to the target than the farthest
   * node found. Of the distances, 32 bits are compared: what they leave open counts as unknown.
   */
  closestTo(key: NodeId): readonly Contact[] | undefined {
    const sorted = this.#contacts.toSorted((a, b) => compareDistance(key, a.id, b.id));
    if (this.complete || sameId(key, this.target)) return sorted;
    const last = sorted[this.#k - 1];
    if (last === undefined) return undefined;
    const worst = farthestWithin(head(key, this.target), head(key, last.id));
    return worst < this.#reach ? sorted : undefined;
  }
}

/** The first 32 bits of the distance. */
function head(a: NodeId, b: NodeId): number {
  let bits = 0;
  for (let index = 0; index < 4; index++) {
    bits = (bits << 8) | ((a[index] ?? 0) ^ (b[index] ?? 0));
  }
  return bits >>> 0;
}

/** How far from the target an id can be, at `radius` or less from a key that is `apart` from it. */
export function farthestWithin(apart: number, radius: number): number {
  let far = 0;
  for (let bit = 31; bit >= 0; bit--) {
    const mask = (1 << bit) >>> 0;
    const differs = (apart & mask) !== 0;
    if ((radius & mask) === 0) far += differs ? mask : 0;
    // The id stays within the radius whatever its lower bits are.
    else if (differs) return far + 2 * mask - 1;
    else far += mask;
  }
  return far;
}
