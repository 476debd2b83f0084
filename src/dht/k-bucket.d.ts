/** The package `k-bucket` 5.1.0, as far as the routing table uses it. */
declare module "k-bucket" {
  interface Item {
    readonly id: Uint8Array;
  }

  interface Options<T extends Item> {
    readonly localNodeId: Uint8Array;
    readonly numberOfNodesPerKBucket: number;
    readonly arbiter: (incumbent: T, candidate: T) => T;
  }

  class KBucket<T extends Item> {
    constructor(options: Options<T>);
    add(contact: T): this;
    remove(id: Uint8Array): this;
    get(id: Uint8Array): T | null;
    closest(id: Uint8Array, count: number): T[];
    count(): number;
    toIterable(): Iterable<T>;
  }

  export default KBucket;
}
