/**
 * The networks on which lookups are measured: sizes, round trips and troubles. A dead node is one
 * that died after the values were stored, and that tables still name.
 */
import { internet, planetLab } from "../net/latency.ts";
import type { Latency } from "../net/latency.ts";

export interface NetworkModel {
  readonly name: string;
  /** Live nodes. */
  readonly nodes: number;
  /** Of the entries of a table, and so of all nodes that ever were. */
  readonly deadShare: number;
  /** Live nodes that lose a quarter of all messages and take about a second for each. */
  readonly overloadedShare: number;
  readonly latency: (seed: number) => Latency;
  /** Lookups that make a row, unless somebody asks for another number. */
  readonly lookups: number;
}

export const networkModels: readonly NetworkModel[] = [
  {
    ...{ name: "pl-300", nodes: 300, deadShare: 0.12, overloadedShare: 0.1 },
    ...{ latency: planetLab, lookups: 2000 },
  },
  {
    // Half of all nodes are behind NATs, which to everybody else look dead.
    ...{ name: "field-50", nodes: 50, deadShare: 0.475, overloadedShare: 0.1 },
    ...{ latency: planetLab, lookups: 2000 },
  },
  {
    ...{ name: "inet-10k", nodes: 10_000, deadShare: 0.15, overloadedShare: 0.03 },
    ...{ latency: internet, lookups: 600 },
  },
  {
    ...{ name: "inet-100k", nodes: 100_000, deadShare: 0.15, overloadedShare: 0.03 },
    ...{ latency: internet, lookups: 600 },
  },
];
