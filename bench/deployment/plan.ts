/**
 * From a scenario and a seed to what is done when, before anything is: which host belongs to which
 * group, what its settings are, and at what time of a phase each event meets each host. Pure; the same
 * scenario, hosts and seed give the same plan.
 */
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { ScenarioProblem } from "./fields.ts";
import type { Arrivals, Event, Group, Phase, Scenario, Settings } from "./scenario.ts";

/** A host of the run: its name in the report, and its part in the scenario. */
export interface Member {
  readonly name: string;
  readonly group: Group;
}

/** One event at one host. */
export interface Task {
  /** From the start of its phase. */
  readonly atMs: number;
  readonly member: Member;
  readonly event: Event;
  /** Tasks of one chain run one after another. */
  readonly chain: number;
}

/**
 * How many hosts each group gets if there are `count` of them: as the scenario's own numbers are to
 * each other, by largest remainder, and one at least.
 */
export function groupSizes(groups: readonly Group[], count: number): readonly number[] {
  if (count < groups.length) {
    throw new ScenarioProblem(`the scenario has ${groups.length} groups: so many hosts at least`);
  }
  const total = groups.reduce((sum, { hosts }) => sum + hosts, 0);
  const wanted = groups.map(({ hosts }) => Math.max(1, (hosts * count) / total));
  const sizes = wanted.map(Math.floor);
  const sum = (): number => sizes.reduce((a, b) => a + b, 0);
  const rests = (index: number): number => (wanted[index] ?? 0) - (sizes[index] ?? 0);
  const byRest = sizes.map((_, index) => index).sort((a, b) => rests(b) - rests(a));
  for (let turn = 0; sum() < count; turn++) sizes[byRest[turn % byRest.length] ?? 0]! += 1;
  // Groups that were given their one host have taken it from the largest.
  while (sum() > count) sizes[sizes.indexOf(Math.max(...sizes))]! -= 1;
  return sizes;
}

/** `group-1`, `group-2`, …: members as many as asked for, else as the scenario says. */
export function membersOf({ groups }: Scenario, count: number | undefined): readonly Member[] {
  const sizes = count === undefined ? groups.map(({ hosts }) => hosts) : groupSizes(groups, count);
  return groups.flatMap((group, index) =>
    Array.from({ length: sizes[index] ?? 0 }, (_, number) => ({
      ...{ name: `${group.name}-${number + 1}`, group },
    })),
  );
}

/** Hosts with a group go there; the others where room is left, in their order. */
export function dealt(
  { groups }: Scenario,
  hosts: readonly { readonly name: string; readonly group: string | undefined }[],
): readonly Member[] {
  const sizes = groupSizes(groups, hosts.length);
  const room = new Map(groups.map((group, index) => [group, sizes[index] ?? 0]));
  const take = (group: Group): Group => {
    room.set(group, (room.get(group) ?? 0) - 1);
    return group;
  };
  const chosen = hosts.map(({ name, group: wanted }) => {
    if (wanted === undefined) return undefined;
    const group = groups.find((each) => each.name === wanted);
    if (group === undefined) {
      const known = groups.map((each) => each.name).join(", ");
      throw new ScenarioProblem(`host ${name}: no group ${wanted} in the scenario, but ${known}`);
    }
    return take(group);
  });
  return hosts.map(({ name }, index) => {
    const left = groups.find((each) => (room.get(each) ?? 0) > 0) ?? groups[0]!;
    return { name, group: chosen[index] ?? take(left) };
  });
}

/** Where a member is reached, for the placeholders of settings. */
export interface Located {
  readonly member: Member;
  readonly address: string;
  /** address:port. */
  readonly endpoint: string;
}

/**
 * The settings of one member as lines of the configuration file by section: the scenario's, then its
 * group's. In values `{address}` is its own address, `{group:NAME}` are the endpoints of all others of
 * a group, and `{first:NAME}` is that of its first member.
 */
export function settingsOf(
  all: Settings,
  self: Located,
  others: readonly Located[],
): Readonly<Record<string, readonly string[]>> {
  const group = self.member.group.settings;
  const sections = new Set([...Object.keys(all), ...Object.keys(group)]);
  return Object.fromEntries(
    [...sections].map((section) => {
      const lines = { ...all[section], ...group[section] };
      const filled = Object.entries(lines).map(
        ([name, value]) => `${name} = ${filledIn(value, self, others)}`,
      );
      return [section, filled];
    }),
  );
}

function filledIn(value: string, self: Located, others: readonly Located[]): string {
  const groups = new Set(others.map(({ member }) => member.group.name));
  if (!value.includes("{")) return value;
  const filled = value.replace(/\{([^}]*)\}/g, (whole, inner: string) => {
    if (inner === "address") return self.address;
    const [, kind, name = ""] = /^(group|first):(.+)$/.exec(inner) ?? [];
    if (kind === undefined || !groups.has(name)) {
      throw new ScenarioProblem(
        `settings: expected {address}, {group:NAME} or {first:NAME} with a group, got ${whole}`,
      );
    }
    const found = others.filter(({ member }) => member.group.name === name);
    if (kind === "first") return found[0]?.endpoint ?? "";
    const rest = found.filter(({ member }) => member !== self.member);
    return rest.map(({ endpoint }) => endpoint).join(", ");
  });
  // A group without others leaves a gap in a list.
  const items = filled.split(",").map((each) => each.trim());
  return items.filter((each) => each !== "").join(", ");
}

/** All that is to be done in a phase, by time. */
export function schedule(
  phase: Phase,
  members: readonly Member[],
  random: SeededRandom,
): readonly Task[] {
  let chains = 0;
  const tasks = phase.events.flatMap((event) => {
    const chosen = picked(selected(event.hosts, members), event.pick, random);
    const chain = event.arrivals.kind === "one by one" ? ++chains : 0;
    const times = offsets(event.arrivals, chosen.length, random);
    return chosen.flatMap((member, index) => {
      const task = {
        ...{ atMs: event.at + (times[index] ?? 0), member, event },
        chain: chain === 0 ? ++chains : chain,
      };
      return event.do === "churn" ? sessions(task, event, random) : [task];
    });
  });
  // Stable: what is at the same time stays in the order of the file.
  return tasks.sort((a, b) => a.atMs - b.atMs);
}

function selected(names: readonly string[], members: readonly Member[]): readonly Member[] {
  const daemons = members.filter(({ group }) => group.liar === undefined);
  const unknown = names.find(
    (each) =>
      each !== "all" && !members.some((one) => one.name === each || one.group.name === each),
  );
  if (unknown !== undefined) {
    const known = [...new Set(members.map(({ group }) => group.name))].join(", ");
    throw new ScenarioProblem(`hosts: no group or host ${unknown}; there are all, ${known}`);
  }
  return daemons.filter(
    ({ name, group }) =>
      names.includes("all") || names.includes(name) || names.includes(group.name),
  );
}

/** So many of them, in their own order; below 1 that share of them. */
function picked(
  members: readonly Member[],
  pick: number | undefined,
  random: SeededRandom,
): readonly Member[] {
  if (pick === undefined) return members;
  const wanted = Math.round(pick < 1 ? pick * members.length : pick);
  const left = [...members];
  const chosen = new Set<Member>();
  while (chosen.size < wanted && left.length > 0) {
    for (const each of left.splice(random.below(left.length), 1)) chosen.add(each);
  }
  return members.filter((each) => chosen.has(each));
}

/** When each of `count` hosts comes, in ms from the event's time. */
function offsets(arrivals: Arrivals, count: number, random: SeededRandom): readonly number[] {
  let last = 0;
  return Array.from({ length: count }, (_, index) => {
    switch (arrivals.kind) {
      case "together":
      case "one by one":
        return 0;
      case "uniform":
        return arrivals.within * random.next();
      case "poisson":
        return (last += exponential(arrivals.gap, random));
      case "burst":
        return Math.floor(index / arrivals.size) * arrivals.every;
    }
  });
}

function exponential(mean: number, random: SeededRandom): number {
  return -mean * Math.log(1 - random.next());
}

/** Killed and started in turn, each after an exponential time; at the end it runs. */
function sessions(
  { atMs, member, chain }: Task,
  event: Event & { readonly do: "churn" },
  random: SeededRandom,
): readonly Task[] {
  const { up, down, lasts, at, hosts, pick, arrivals, mayFail } = event;
  const common = { at, hosts, pick, arrivals, mayFail };
  const tasks: Task[] = [];
  const endMs = atMs + lasts;
  for (let time = atMs; ;) {
    time += exponential(up, random);
    if (time >= endMs) return tasks;
    tasks.push({ atMs: time, member, chain, event: { ...common, do: "kill" } });
    time = Math.min(endMs, time + exponential(down, random));
    tasks.push({ atMs: time, member, chain, event: { ...common, do: "start" } });
  }
}
