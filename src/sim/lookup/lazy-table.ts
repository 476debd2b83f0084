/**
 * A routing table whose buckets are filled when a search first needs them. It answers as the full one
 * would, since what is closest to a target stands in the target's bucket; else in deeper ones; else
 * in shallower ones, one after another.
 */
import { commonPrefix, idBits } from "../../base/node-id.ts";
import type { NodeId } from "../../base/node-id.ts";
import { RoutingTable } from "../../dht/routing-table.ts";
import type { TableSettings } from "../../dht/routing-table.ts";
import type { Contact } from "../../dht/types.ts";

/** The contacts of a bucket; undefined when there is no deeper one. */
export type Fill = (depth: number) => readonly Contact[] | undefined;

export class LazyTable extends RoutingTable {
  readonly #own: NodeId;
  readonly #fill: Fill;
  readonly #filled = new Map<number, number>();

  constructor(own: NodeId, settings: TableSettings, fill: Fill) {
    super(own, settings);
    this.#own = own;
    this.#fill = fill;
  }

  override closest(target: NodeId, count: number): Contact[] {
    const depth = Math.min(commonPrefix(this.#own, target), idBits - 1);
    let found = this.#bucketOf(depth);
    if (found < count) {
      for (let deeper = depth + 1; this.#bucketOf(deeper) >= 0; deeper++) {
        found += this.#bucketOf(deeper);
      }
    }
    for (let higher = depth - 1; higher >= 0 && found < count; higher--) {
      found += Math.max(0, this.#bucketOf(higher));
    }
    return super.closest(target, count);
  }

  /** Fills a bucket if need be → its contacts; -1 beyond the deepest. */
  #bucketOf(depth: number): number {
    const known = this.#filled.get(depth);
    if (known !== undefined) return known;
    const contacts = this.#fill(depth);
    this.#filled.set(depth, contacts?.length ?? -1);
    for (const contact of contacts ?? []) this.add(contact);
    return contacts?.length ?? -1;
  }
}
