/**
 * Everybody who looks something up in the laboratory: the steps of 2008, our default, and three other
 * implementations as we read their papers and parameters. All run in the same `Lookup` on the same
 * nodes; what differs is policy, table and number of copies.
 *
 * - `nr128`: Jiménez, Osmani and Knutsson, "Sub-second lookups on a large-scale Kademlia-based
 *   overlay" (P2P 2011): buckets of 128/64/32/16/8, low round trips preferred, time-out 2 s, no
 *   retransmission.
 * - `libtorrent`: its traversal: branch factor 5, a node is slow after 1 s and then holds no slot,
 *   but the traversal waits for it up to 15 s; enlarged buckets near the root.
 * - `dht-rpc`: Holepunch's: 10 queries at once, 1 s each and 3 retries, until the 20 closest have answered.
 */
import { minute, second } from "../../base/units.ts";
import { defaultPolicy, defaultTable, policies2008, table2008 } from "../../dht/policy.ts";
import type { LookupPolicy } from "../../dht/policy.ts";
import type { TableSettings } from "../../dht/routing-table.ts";

export interface Contender {
  readonly policy: LookupPolicy;
  readonly table: TableSettings;
  /** Nodes on which a value was stored. */
  readonly copies: number;
  /** Dead entries in the table as a multiple of the network's. */
  readonly deadFactor: number;
}

const enlarged = [128, 64, 32, 16, 8];

/**
 * Before re-ping, contacts behind NATs and those that had just died stayed in the tables longer. The
 * factor is the one free parameter of the model: it is set so that the step from `abort` to `reping`
 * is the paper's (8.10 to 7.35 s).
 */
const deadFactorBeforeReping = 1.25;

const steps: readonly Contender[] = policies2008.map((policy) => ({
  ...{ policy, table: table2008, copies: 6 },
  deadFactor: policy.name === "reping" ? 1 : deadFactorBeforeReping,
}));

const limitMs = 2 * minute;

const others: readonly LookupPolicy[] = [
  {
    ...{ ...defaultPolicy, limitMs, name: "nr128", k: 8, alpha: 4, farAlpha: 4 },
    schedule: () => ({ resendMs: [], suspectMs: 2 * second, failMs: 2 * second }),
    ...{ freeSuspects: false, skipSuspects: false },
  },
  {
    ...{
      ...defaultPolicy,
      limitMs,
      name: "libtorrent",
      k: 8,
      alpha: 5,
      farAlpha: 5,
      rttFirst: false,
    },
    schedule: () => ({ resendMs: [], suspectMs: second, failMs: 15 * second }),
    ...{ freeSuspects: true, skipSuspects: false },
  },
  {
    ...{
      ...defaultPolicy,
      limitMs,
      name: "dht-rpc",
      k: 20,
      alpha: 10,
      rttFirst: false,
      leapFrog: false,
    },
    schedule: () => ({
      resendMs: [second, 2 * second, 3 * second],
      ...{ suspectMs: 4 * second, failMs: 4 * second },
    }),
    ...{ freeSuspects: false, skipSuspects: false },
  },
];

const tables: Readonly<Record<string, TableSettings>> = {
  nr128: { bucketSizes: enlarged, rttBias: true },
  libtorrent: { bucketSizes: enlarged, rttBias: false },
  "dht-rpc": { bucketSizes: [20], rttBias: false },
};

export const contenders: readonly Contender[] = [
  ...steps,
  ...others.map((policy) => ({
    ...{ policy, table: tables[policy.name] ?? defaultTable },
    // As many copies as ours, so that only the search differs.
    ...{ copies: 8, deadFactor: 1 },
  })),
  { policy: defaultPolicy, table: defaultTable, copies: 8, deadFactor: 1 },
];
