/**
 * Which held key is farthest from our own id: a binary heap, needed only while the store is full.
 * Keys that are gone are dropped when they reach the top, or when the heap has grown to twice what it
 * was after the last time.
 */
import type { NodeId } from "../base/node-id.ts";
import { distanceShareOfText } from "./distance-share.ts";

interface Ranked {
  /** 20 latin1 characters. */
  readonly key: string;
  /** Its distance from our id as a share of the id space. */
  readonly share: number;
}

/** Small heaps may have so many more. */
const slack = 64;

export class FarthestKeys {
  readonly #ownId: NodeId;
  readonly #isHeld: (key: string) => boolean;
  /** Item `i` is at least as far as its children `2i + 1` and `2i + 2`. */
  #heap: Ranked[] = [];
  /** Its size when it last held nothing but held keys. */
  #tidySize = 0;

  constructor(ownId: NodeId, keys: Iterable<string>, isHeld: (key: string) => boolean) {
    this.#ownId = ownId;
    this.#isHeld = isHeld;
    this.#build(keys);
  }

  /** Keys in it, those that are gone included. */
  get size(): number {
    return this.#heap.length;
  }

  /** A key that has come, and may have been here before. */
  add(key: string): void {
    const item = this.#ranked(key);
    let at = this.#heap.push(item) - 1;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = this.#heap[parentAt];
      if (parent === undefined || parent.share >= item.share) break;
      this.#heap[at] = parent;
      at = parentAt;
    }
    this.#heap[at] = item;
    if (this.#heap.length <= 2 * this.#tidySize + slack) return;
    this.#build(new Set(this.#heap.map((one) => one.key).filter((one) => this.#isHeld(one))));
  }

  /** The farthest of the keys that are still held; undefined if there is none. */
  farthest(): Ranked | undefined {
    for (;;) {
      const [top] = this.#heap;
      if (top === undefined || this.#isHeld(top.key)) return top;
      const last = this.#heap.pop();
      if (last === undefined || this.#heap.length === 0) continue;
      this.#heap[0] = last;
      this.#sink(0);
    }
  }

  #build(keys: Iterable<string>): void {
    this.#heap = Array.from(keys, (key) => this.#ranked(key));
    this.#tidySize = this.#heap.length;
    for (let at = (this.#tidySize >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  #ranked(key: string): Ranked {
    return { key, share: distanceShareOfText(this.#ownId, key) };
  }

  #sink(from: number): void {
    const item = this.#heap[from];
    if (item === undefined) return;
    let at = from;
    for (;;) {
      const left = this.#heap[2 * at + 1];
      const right = this.#heap[2 * at + 2];
      const rightIsFarther = (right?.share ?? -1) > (left?.share ?? -1);
      const child = rightIsFarther ? right : left;
      if (child === undefined || child.share <= item.share) break;
      this.#heap[at] = child;
      at = 2 * at + (rightIsFarther ? 2 : 1);
    }
    this.#heap[at] = item;
  }
}
