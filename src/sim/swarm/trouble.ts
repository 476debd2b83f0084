/**
 * One apt among peers of which a share is in trouble, beside a mirror that would do alone: apt must
 * not be later than the mirror alone would have been, by more than a moment.
 */
import type { Trouble } from "./plan.ts";
import { rounded, runSwarm, type SwarmRow } from "./row.ts";
import { lan, Mbit, MB, member, regionalDht, several, type ScenarioSize } from "./scenarios.ts";

export type Hostility = Trouble | "slow" | "idle";

export interface TroublePlan extends ScenarioSize {
  readonly trouble: Hostility;
  /** Of the peers. */
  readonly share: number;
  /** Bytes a second: of the mirror, and of each peer. */
  readonly mirrorRate?: number;
}

/** `more.aloneMs`: the mirror alone; `more.lateMs`: how much later than 1.05 × that and 250 ms. */
export function trouble(seed: number, plan: TroublePlan): SwarmRow {
  const { trouble: kind, share, count = 20, sizeBytes = 20 * MB } = plan;
  const { rate = 50 * Mbit, mirrorRate = 50 * Mbit, policy = {} } = plan;
  const peers = several(count, (index) => {
    const bad = index < Math.round(count * share);
    if (!bad) return member({ rate, seed: true });
    // So slow that one piece takes a quarter of a minute.
    if (kind === "slow" || kind === "idle") {
      return member({ rate: rate / 200, down: rate, seed: true, claimsIdle: kind === "idle" });
    }
    return member({ rate, seed: true, trouble: kind });
  });
  const client = member({ rate: 100 * Mbit });
  const mirror = { up: mirrorRate, serviceMs: 2, latencyMs: 10 };
  const common = {
    ...{ ...lan, seed, sizeBytes, policy, latencyMs: () => 10, finding: regionalDht, mirror },
  };
  const scenario = `${kind}-${Math.round(share * 100)}`;
  const boundMs = (1000 * sizeBytes) / mirrorRate;
  const alone = runSwarm(
    { scenario: "alone", boundMs },
    { ...common, members: [client], direct: true },
  );
  const aloneMs = alone.lastMs;
  const row = runSwarm({ scenario, boundMs }, { ...common, members: [...peers, client] });
  const lateMs = Math.max(0, row.lastMs - (1.05 * aloneMs + 250));
  return { ...row, more: { aloneMs, byAlone: rounded(row.lastMs / aloneMs), lateMs } };
}
