/** Who is what, and what comes when: the same for the same seed. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";

import {
  dealt,
  groupSizes,
  membersOf,
  schedule,
  settingsOf,
} from "../../../bench/deployment/plan.ts";
import type { Located, Task } from "../../../bench/deployment/plan.ts";
import { parseScenario } from "../../../bench/deployment/scenario.ts";
import type { Scenario } from "../../../bench/deployment/scenario.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";

function scenarioWith(events: readonly object[], groups?: readonly object[]): Scenario {
  return parseScenario(
    JSON.stringify({
      ...{ name: "plan", archive: { realistic: 3 } },
      groups: groups ?? [
        { name: "seed", hosts: 2, settings: { peers: { upload_rate: "2MB" } } },
        { name: "crowd", hosts: 8 },
        { name: "bad", hosts: 1, liar: "short" },
      ],
      phases: [{ name: "only", events }],
    }),
  );
}

function planned(event: object, seed = 1): readonly Task[] {
  const scenario = scenarioWith([event]);
  const [phase] = scenario.phases;
  assert.ok(phase !== undefined);
  return schedule(phase, membersOf(scenario, undefined), new SeededRandom(seed));
}

const timesOf = (tasks: readonly Task[]): readonly number[] => tasks.map(({ atMs }) => atMs);
const namesOf = (tasks: readonly Task[]): readonly string[] =>
  tasks.map(({ member }) => member.name);

describe("groupSizes()", () => {
  const { groups } = scenarioWith([]);

  it("keeps the proportions, and gives each group one", () => {
    assert.deepEqual(groupSizes(groups, 11), [2, 8, 1]);
    assert.deepEqual(groupSizes(groups, 22), [4, 16, 2]);
    assert.deepEqual(groupSizes(groups, 3), [1, 1, 1]);
  });

  it("gives away exactly as many as there are", () => {
    for (let count = 3; count < 60; count++) {
      const sizes = groupSizes(groups, count);
      assert.equal(
        sizes.reduce((a, b) => a + b),
        count,
      );
      assert.ok(sizes.every((each) => each >= 1));
    }
  });

  it("refuses fewer hosts than groups", () => {
    assert.throws(() => groupSizes(groups, 2), /3 groups/);
  });
});

describe("dealt()", () => {
  it("puts hosts where they belong, and the others where room is left", () => {
    const hosts = ["a", "b", "c", "d"].map((name) => ({
      name,
      group: name === "d" ? "seed" : undefined,
    }));
    const found = dealt(scenarioWith([]), hosts).map(({ group }) => group.name);
    assert.deepEqual(found, ["crowd", "crowd", "bad", "seed"]);
  });

  it("names a group that does not exist", () => {
    const hosts = ["a", "b", "c"].map((name) => ({ name, group: "nobody" }));
    assert.throws(
      () => dealt(scenarioWith([]), hosts),
      /host a: no group nobody .*, but seed, crowd/,
    );
  });
});

describe("settingsOf()", () => {
  const scenario = scenarioWith([]);
  const located = membersOf(scenario, undefined).map((member, index): Located => ({
    ...{ member, address: `192.0.2.${index}`, endpoint: `192.0.2.${index}:9977` },
  }));
  const of = (value: string): string | undefined =>
    settingsOf({ peers: { neighbours: value } }, located[0]!, located)["peers"]?.[0];

  it("fills in addresses, and leaves itself out of its group", () => {
    assert.equal(of("{address}"), "neighbours = 192.0.2.0");
    assert.equal(of("{group:seed}, {group:bad}"), "neighbours = 192.0.2.1:9977, 192.0.2.10:9977");
    assert.equal(of("{first:crowd}"), "neighbours = 192.0.2.2:9977");
    assert.throws(() => of("{group:none}"), /expected \{address\}/);
  });

  it("lets a group's settings count more", () => {
    const all = { peers: { upload_rate: "1MB", upload_slots: "3" } };
    assert.deepEqual(settingsOf(all, located[0]!, located), {
      peers: ["upload_rate = 2MB", "upload_slots = 3"],
    });
    assert.deepEqual(settingsOf(all, located[3]!, located), {
      peers: ["upload_rate = 1MB", "upload_slots = 3"],
    });
  });
});

describe("schedule()", () => {
  it("meets all that run a daemon at once", () => {
    const tasks = planned({ do: "update", at: "2s" });
    assert.equal(tasks.length, 10);
    assert.ok(tasks.every(({ atMs }) => atMs === 2000));
    assert.equal(new Set(tasks.map(({ chain }) => chain)).size, 10);
  });

  it("makes one chain of those who come one by one", () => {
    const tasks = planned({ do: "update", arrivals: { kind: "one by one" } });
    assert.equal(new Set(tasks.map(({ chain }) => chain)).size, 1);
  });

  it("spreads uniform arrivals over the time", () => {
    const times = timesOf(planned({ do: "update", arrivals: { kind: "uniform", within: "10s" } }));
    assert.deepEqual(
      times,
      [...times].sort((a, b) => a - b),
    );
    assert.ok(times[0]! >= 0 && times.at(-1)! < 10_000 && new Set(times).size === 10);
  });

  it("lets bursts of a size come at intervals", () => {
    const arrivals = { kind: "burst", size: 4, every: "3s" };
    const times = timesOf(planned({ do: "update", at: "1s", arrivals }));
    assert.deepEqual(times, [...[1000, 1000, 1000, 1000, 4000, 4000, 4000, 4000], ...[7000, 7000]]);
  });

  it("has exponential gaps between Poisson arrivals", () => {
    const arrivals = { kind: "poisson", gap: "1s" };
    const ends = Array.from({ length: 200 }, (_, seed) =>
      timesOf(planned({ do: "update", arrivals }, seed)).at(-1)!,
    );
    const mean = ends.reduce((a, b) => a + b) / ends.length;
    // Ten gaps of 1 s; the mean of 200 has a deviation of 0.22 s.
    assert.ok(Math.abs(mean - 10_000) < 900, `seeds 0 to 199: mean ${mean}`);
  });

  it("is the same for the same seed, and another for another", () => {
    const event = { do: "update", pick: 5, arrivals: { kind: "uniform", within: "10s" } };
    assert.deepEqual(timesOf(planned(event, 7)), timesOf(planned(event, 7)));
    assert.notDeepEqual(timesOf(planned(event, 7)), timesOf(planned(event, 8)));
  });

  it("picks a number or a share of the chosen", () => {
    const hosts = ["crowd"];
    assert.equal(new Set(namesOf(planned({ do: "kill", hosts, pick: 3 }))).size, 3);
    assert.equal(new Set(namesOf(planned({ do: "kill", hosts, pick: 0.5 }))).size, 4);
    assert.equal(planned({ do: "kill", hosts, pick: 100 }).length, 8);
  });

  it("knows hosts by name, and names those it does not know", () => {
    assert.deepEqual(namesOf(planned({ do: "stop", hosts: ["crowd-3", "seed"] })), [
      ...["seed-1", "seed-2", "crowd-3"],
    ]);
    assert.throws(() => planned({ do: "stop", hosts: ["crows"] }), /no group or host crows/);
  });

  it("kills and starts in turn, and ends with everybody running", () => {
    const event = { do: "churn", hosts: ["crowd"], up: "2s", down: "1s", lasts: "60s" };
    const tasks = planned(event);
    for (const name of new Set(namesOf(tasks))) {
      const own = tasks.filter(({ member }) => member.name === name);
      const kinds = own.map(({ event: { do: kind } }) => kind);
      assert.deepEqual(
        kinds,
        kinds.map((_, index) => (index % 2 === 0 ? "kill" : "start")),
      );
      assert.equal(kinds.at(-1), "start");
      assert.ok(own.every(({ atMs }) => atMs <= 60_000));
      assert.ok(own.length > 8, `${own.length} events of ${name} in 60 s`);
    }
  });
});
