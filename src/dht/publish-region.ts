/** Who gets a key's values where somebody has placed nodes around the key. */
import { dhtLimits } from "../base/dht-limits.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Hashes } from "../base/ports.ts";
import { distanceShare } from "./distance-share.ts";
import type { Contact } from "./types.ts";
import { entryDigest } from "./value-digest.ts";

export interface RegionParts {
  readonly hashes: Hashes;
  /** The publisher's own, so that nobody can foresee its order. */
  readonly salt: NodeId;
  /** Nodes in the network; undefined: not known well enough to judge. */
  readonly size: number | undefined;
}

/**
 * undefined unless the k closest (`sorted`, nearest first) stand more densely than chance can bring
 * about. Then all known nodes of the region in which k honest ones are to be expected, in an order of
 * this publisher's: whoever crowds the key gets its share of the copies, but not all.
 */
export function crowdedRegion(
  { hashes, salt, size }: RegionParts,
  key: NodeId,
  sorted: readonly Contact[],
): readonly Contact[] | undefined {
  const last = sorted[dhtLimits.k - 1];
  if (size === undefined || size <= dhtLimits.k || last === undefined) return undefined;
  const share = dhtLimits.k / size;
  if (distanceShare(key, last.id) >= share / dhtLimits.implausibleDensity) return undefined;
  const order = ({ id }: Contact): Uint8Array => entryDigest(hashes, salt, id);
  return sorted
    .filter(({ id }) => distanceShare(key, id) <= share)
    .map((contact) => ({ contact, rank: order(contact) }))
    .sort((a, b) => Buffer.compare(a.rank, b.rank))
    .map(({ contact }) => contact);
}
