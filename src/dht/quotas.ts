/**
 * How much a holder takes, by the estimated size of the network. In a network of N nodes, a key is
 * held by the k nearest of them, so each publisher of F files has about k × F / N on each holder.
 * An unknown size counts as the smallest network: so it is at the start, and where it stays unknown.
 */
import { dhtLimits } from "../base/dht-limits.ts";
import type { Reach } from "./party.ts";

/** Publishers are uneven, ids are uneven and estimates are rough: four times the mean passes. */
const publisherSlack = 4;

/** Several machines may publish from behind one private address: containers, virtual machines. */
const privateFactor = 10;

/**
 * A key is taken if fewer nodes than this are expected to be nearer to it than we are. The nearest
 * k are meant to hold it; eight times as many allow for a wrong estimate and for missing nodes.
 */
const nearbyNodes = 8 * dhtLimits.k;

/** Values that one source may have here. `nodes`: estimated network size. */
export function sourceQuota(nodes: number | undefined, reach: Reach): number {
  const { k, typicalKeys, keysPerSource } = dhtLimits;
  const size = Math.max(nodes ?? k, k);
  const quota = Math.max(keysPerSource, Math.ceil((publisherSlack * k * typicalKeys) / size));
  return reach === "private" ? privateFactor * quota : quota;
}

/** The largest share of the id space that may lie between our id and a key that we hold. */
export function nearShare(nodes: number | undefined): number {
  return nodes === undefined ? 1 : Math.min(1, nearbyNodes / Math.max(nodes, 1));
}
