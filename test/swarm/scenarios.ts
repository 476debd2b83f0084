/** The deployments by name, each with its variants. */
import type { Figure } from "./figures.ts";
import { crowd, crowd48, crowdFigures } from "./scenarios/crowd.ts";
import type { CrowdVariant } from "./scenarios/crowd.ts";
import { deploy } from "./scenarios/deploy.ts";
import { equal } from "./scenarios/equal.ts";
import { hostile } from "./scenarios/hostile.ts";
import { hostileKinds } from "./scenarios/hostile-kinds.ts";
import { nat } from "./scenarios/nat.ts";
import type { NatVariant } from "./scenarios/nat.ts";
import { pair, pairFigures } from "./scenarios/pair.ts";
import { small } from "./scenarios/small.ts";

export interface ScenarioRun {
  readonly variant: string;
  readonly seed: number;
  /** Small numbers: whether it works at all. */
  readonly quick: boolean;
  /** Links are slower by this factor: two CPUs carry so many daemons only at a part of the rates. */
  readonly slower: number;
  /** As many machines as these CPUs carry; undefined: as many as the scenario has. */
  readonly machines?: number | undefined;
}

export interface Scenario {
  readonly variants: readonly string[];
  run(run: ScenarioRun): Promise<readonly Figure[]>;
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  pair: {
    variants: ["default"],
    run: async ({ quick }) => pairFigures(await pair({ packages: quick ? 10 : 100 })),
  },
  crowd48: {
    variants: ["together", "staggered", "leaving", "direct"],
    run: async ({ variant, seed, quick, slower, machines = crowd48.machines }) => {
      const numbers = quick
        ? { ...crowd48, machines: 6, sizeBytes: 5e6, withinMs: 5000 }
        : { ...crowd48, machines };
      const options = {
        ...{ ...numbers, variant: variant as CrowdVariant, seed },
        linkMbit: numbers.linkMbit / slower,
        mirrorMbit: numbers.mirrorMbit / slower,
      };
      return crowdFigures(await crowd(options), options);
    },
  },
  deploy15: {
    variants: ["15"],
    run: ({ variant, quick, slower }) =>
      deploy(
        quick
          ? { machines: 4, sizeBytes: 30e6, mbit: 50 }
          : { machines: Number(variant), sizeBytes: 606e6, mbit: 50 / slower },
      ),
  },
  nat: {
    variants: ["half behind NAT", "all behind NAT", "slow", "frozen"],
    run: ({ variant, quick }) =>
      nat({ variant: variant as NatVariant, peers: quick ? 2 : 6, packages: quick ? 10 : 60 }),
  },
  equal: {
    variants: ["default"],
    run: ({ quick }) => equal({ sizeBytes: quick ? 10e6 : 50e6, mbit: 50 }),
  },
  small: {
    variants: ["peer", "alone"],
    run: ({ variant, quick }) =>
      small({ variant: variant === "peer" ? "peer" : "alone", packages: quick ? 50 : 500 }),
  },
  hostile: {
    variants: ["10", "30", "60"],
    run: ({ variant, seed, quick }) =>
      hostile({
        ...{ share: Number(variant) / 100, peers: quick ? 3 : 10, seed },
        bogusValues: quick ? 200 : 10_000,
        ...{ lives: quick ? 5 : 40, installsPerLife: quick ? 2 : 4 },
      }),
  },
  "hostile-kinds": {
    variants: ["each"],
    run: ({ quick }) =>
      hostileKinds({ lives: quick ? 1 : 3, installsPerLife: 2, mirrorMbit: quick ? 50 : 20 }),
  },
};
