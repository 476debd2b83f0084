/**
 * How many nodes the network has, from how close the k closest to a target are. N ids are as good as
 * uniform, so the share of the id space up to the k-th closest has a mean of k / (N + 1); the k-th
 * alone says as much as all k together (it is a sufficient statistic of a Poisson process).
 *
 * One lookup errs by a third. The mean over the middle half of the last 32 errs by 8 to 10 %, and as
 * long as fewer than a quarter of them err on one side (lookups that found too little, ids planted
 * near a popular key), it does not move far.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import { idText, type NodeId } from "../base/node-id.ts";
import { distanceShare } from "./distance-share.ts";

/** Lookups remembered, one per target: looking twice tells nothing new. */
const rememberedLookups = 32;

/** Fewer say too little. */
const leastLookups = 4;

/**
 * The share up to the k-th closest is skewed, and the middle half of its samples has a mean below
 * k / N: for k = 8 it is (k - 1/4) / N.
 */
const middleMean = dhtLimits.k - 1 / 4;

export class SizeEstimate {
  /** Target → share of the id space up to its k-th closest node. */
  readonly #shares = new BoundedMap<string, number>(rememberedLookups);

  /**
   * The closest nodes that a finished lookup found, in any order: at least k of them, or all there
   * are. None at all tells that we are cut off, not how large the network is.
   */
  note(target: NodeId, closest: readonly NodeId[]): void {
    if (closest.length === 0) return;
    const { k } = dhtLimits;
    if (closest.length < k) {
      // The whole network; as a share that stands for just this number.
      this.#shares.set(idText(target), middleMean / closest.length);
      return;
    }
    const shares = closest.map((id) => distanceShare(target, id)).sort((a, b) => a - b);
    this.#shares.set(idText(target), shares[k - 1] ?? 1);
  }

  /** Nodes beside ourselves; undefined before enough lookups. */
  estimate(): number | undefined {
    const shares = [...this.#shares.entries()].map(([, share]) => share).sort((a, b) => a - b);
    if (shares.length < leastLookups) return undefined;
    const cut = Math.floor(shares.length / 4);
    const middle = shares.slice(cut, shares.length - cut);
    const mean = middle.reduce((sum, share) => sum + share, 0) / middle.length;
    // Shares of 0 take ids equal to their targets in most lookups: no network, and no number.
    return mean > 0 ? Math.max(1, middleMean / mean) : undefined;
  }
}
