/**
 * Distances as shares of the id space: ids are uniform, so N nodes have N × share of them within it.
 */
import type { NodeId } from "../base/node-id.ts";

/** 48 bits fit a double exactly; that two of 2^20 ids agree in them has a chance of 1 in 512. */
const countedBytes = 6;

/** XOR distance of two ids / 2^160, from its first 48 bits: 0 ≤ share < 1. */
export function distanceShare(a: NodeId, b: NodeId): number {
  let share = 0;
  for (let index = countedBytes - 1; index >= 0; index--) {
    share = (share + ((a[index] ?? 0) ^ (b[index] ?? 0))) / 256;
  }
  return share;
}

/** The same for a key as 20 latin1 characters, which is how many of them are kept. */
export function distanceShareOfText(a: NodeId, text: string): number {
  let share = 0;
  for (let index = countedBytes - 1; index >= 0; index--) {
    share = (share + ((a[index] ?? 0) ^ text.charCodeAt(index))) / 256;
  }
  return share;
}
