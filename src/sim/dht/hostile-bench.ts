/** What hostile nodes achieve among honest ones: liars everywhere, and Sybils around one key. */
import { endpoint } from "../../base/endpoint.ts";
import { idWithPrefix, parseNodeId } from "../../base/node-id.ts";
import type { NodeId } from "../../base/node-id.ts";
import type { Hashes } from "../../base/ports.ts";
import { minute, second } from "../../base/units.ts";
import type { Message, NodeInfo } from "../../krpc/message.ts";
import type { Latency } from "../net/latency.ts";
import { SeededRandom } from "../seeded-random.ts";
import { liar } from "./liar.ts";
import { lookupReport, rounded } from "./lookup-report.ts";
import type { LookupReport } from "./lookup-report.ts";
import type { Machine } from "./machine.ts";
import { Prober } from "./prober.ts";
import { DhtWorld } from "./world.ts";

export interface HostileTask {
  readonly seed: number;
  /** All of them, honest or not. */
  readonly nodes: number;
  readonly hashes: Hashes;
  readonly latency: Latency;
  /** From the arrival of the hostile nodes on. */
  readonly durationMs: number;
  readonly keysPerNode?: number;
  readonly lookupEveryMs?: number;
}

const joinMs = 5 * minute;
/** Until an honest network knows itself. */
const settleMs = 36 * minute;

export interface LiarsRow {
  readonly nodes: number;
  readonly hostile: number;
  readonly lookups: LookupReport;
  /** Of the entries of honest tables, those of liars, and of those who answer from a wrong port. */
  readonly liarsInTables: number;
  readonly wrongPortsInTables: number;
  /** Tokens used from an address that they were not given to: tries, and those that were believed. */
  readonly replays: number;
  readonly replaysAccepted: number;
  readonly traceHash: string;
}

/** Of the hostile nodes; the others are liars beside somebody's key. */
const wrongPortShare = 0.15;
const replayShare = 0.2;

export async function benchLiars(task: HostileTask, hostileShare = 0.2): Promise<LiarsRow> {
  const { seed, nodes, durationMs } = task;
  const hostileCount = Math.round(hostileShare * nodes);
  const { world, honest } = await honestWorld(task, nodes - hostileCount);
  const random = new SeededRandom(seed + 5);
  const liars = new Set<Machine>();
  const wrongPorts = new Set<Machine>();
  const replayers: Machine[] = [];
  const replays = { tried: 0, accepted: 0 };
  for (let count = 0; count < hostileCount; count++) {
    const kind = count / hostileCount;
    const victimKey = random.pick(random.pick(honest).traits.keys);
    const id = idWithPrefix(victimKey, 24 + random.below(100), random);
    const keys: readonly NodeId[] = [];
    let machine: Machine;
    if (kind < wrongPortShare) {
      machine = world.add({ keys, id, intercept: wrongPort(world), nat: openNat });
      wrongPorts.add(machine);
    } else if (kind < wrongPortShare + replayShare) {
      const intercept = (_machine: Machine, _from: unknown, message: Message): boolean => {
        if (message.kind !== "answer" || message.transaction !== replayTransaction) return false;
        replays.accepted += message.fields.stored ?? 0;
        return true;
      };
      machine = world.add({ keys, id, intercept, nat: openNat });
      replayers.push(machine);
    } else {
      machine = world.add({ keys, id, intercept: liar({ random }), nat: openNat });
      liars.add(machine);
    }
    world.clock.after(random.next() * joinMs, () => world.start(machine));
  }
  const isHonest = new Set(honest);
  const prober = probing(task, world, (machine) => isHonest.has(machine));
  for (let passedMs = 0; passedMs < durationMs; passedMs += 10 * second) {
    await world.run(10 * second);
    if (replay(random, replayers, honest)) replays.tried++;
  }
  prober.stop();
  await world.run(minute);
  return {
    ...{ nodes, hostile: hostileCount },
    lookups: lookupReport(prober, world.clock.monotonicMs()),
    liarsInTables: shareInTables(world, honest, liars),
    wrongPortsInTables: shareInTables(world, honest, wrongPorts),
    ...{ replays: replays.tried, replaysAccepted: replays.accepted },
    traceHash: world.network.traceHash(),
  };
}

export interface SybilRow {
  readonly nodes: number;
  readonly sybils: number;
  readonly subnets: number;
  /** Lookups of the besieged key by time since the Sybils came, and of all other keys. */
  readonly phases: readonly {
    readonly untilMinute: number;
    readonly lookups: number;
    readonly missed: number;
    readonly firstValueP99Ms: number;
    /** Of the holders that the publisher counts on, those that are Sybils. */
    readonly sybilHolders: number;
    readonly holders: number;
  }[];
  readonly others: { readonly lookups: number; readonly missed: number };
  readonly traceHash: string;
}

export async function benchSybils(
  task: HostileTask,
  { sybils = 45, subnets = 8, phases = 6 } = {},
): Promise<SybilRow> {
  const { seed, nodes, durationMs } = task;
  const { world, honest } = await honestWorld(task, nodes);
  const random = new SeededRandom(seed + 5);
  const publisher = honest.find(({ traits }) => !traits.bootstrap);
  const key = publisher?.traits.keys[0];
  if (publisher === undefined || key === undefined) throw new Error("nobody publishes anything");
  const friends: NodeInfo[] = [];
  const sybilMachines = new Set<Machine>();
  for (let count = 0; count < sybils; count++) {
    const address = `25.0.${count % subnets}.${1 + Math.floor(count / subnets)}`;
    const info = {
      id: idWithPrefix(key, 40 + random.below(60), random),
      endpoint: endpoint(address, 9977),
    };
    friends.push(info);
    const intercept = liar({ random, friends });
    const machine = world.add({ ...info, keys: [], intercept, nat: openNat, overloaded: false });
    sybilMachines.add(machine);
    world.clock.after(random.next() * joinMs, () => world.start(machine));
  }
  const isHonest = new Set(honest);
  const others = probing(task, world, (machine) => isHonest.has(machine));
  const row: SybilRow["phases"][number][] = [];
  for (let phase = 1; phase <= phases; phase++) {
    const prober = new Prober(world, {
      ...{ random: new SeededRandom(seed + 80 + phase), everyMs: task.lookupEveryMs ?? 5 * second },
      mayAsk: (machine) => isHonest.has(machine),
      mayBeWanted: (machine) => machine === publisher,
      keyOf: () => key,
    });
    prober.start();
    await world.run(durationMs / phases);
    prober.stop();
    const holders = publisher.run?.publisher?.holdersOf(key) ?? [];
    row.push({
      untilMinute: rounded((phase * durationMs) / phases / minute, 1),
      ...{ lookups: prober.probes.length, missed: prober.misses.length },
      firstValueP99Ms: lookupReport(prober, world.clock.monotonicMs()).firstValue.p99,
      sybilHolders: holders.filter(({ endpoint: { text } }) => {
        const machine = world.at(text);
        return machine !== undefined && sybilMachines.has(machine);
      }).length,
      holders: holders.length,
    });
  }
  others.stop();
  return {
    ...{ nodes, sybils, subnets, phases: row },
    others: { lookups: others.probes.length, missed: others.misses.length },
    traceHash: world.network.traceHash(),
  };
}

const openNat = { kind: "open", pinholeMs: minute } as const;

/** An honest network that has come to rest. */
export async function honestWorld(
  { seed, hashes, latency, keysPerNode = 10 }: HostileTask,
  nodes: number,
): Promise<{ readonly world: DhtWorld; readonly honest: readonly Machine[] }> {
  const publishAfterMs = settleMs - 6 * minute;
  const world = new DhtWorld({ seed, hashes, latency, keysPerNode, natShare: 0.3, publishAfterMs });
  const honest = world.populate(nodes, joinMs);
  await world.run(settleMs);
  return { world, honest };
}

function probing(
  { seed, lookupEveryMs = 5 * second }: HostileTask,
  world: DhtWorld,
  isHonest: (machine: Machine) => boolean,
): Prober {
  const random = new SeededRandom(seed + 8);
  const prober = new Prober(world, { random, everyMs: lookupEveryMs, mayAsk: isHonest });
  prober.start();
  return prober;
}

function shareInTables(
  world: DhtWorld,
  honest: readonly Machine[],
  wanted: ReadonlySet<Machine>,
): number {
  let [entries, found] = [0, 0];
  for (const { run } of honest) {
    for (const { endpoint: at } of run?.node.table.contacts() ?? []) {
      entries++;
      const machine = world.at(at.text);
      if (machine !== undefined && wanted.has(machine)) found++;
    }
  }
  return rounded(found / Math.max(1, entries), 4);
}

/** Answers every query, but from the port beside the one that was asked. */
function wrongPort(world: DhtWorld): NonNullable<Machine["traits"]["intercept"]> {
  return (machine, from, message) => {
    if (message.kind !== "query") return false;
    const { address, port } = machine.endpoint;
    const beside = world.network.attach({
      ...{ index: machine.index, endpoint: endpoint(address, port + 1) },
      receive: () => undefined,
    });
    const { transaction, version } = message;
    const fields = { nodes: [], values: [], held: 0 };
    const answer = { transaction, version, id: machine.traits.id, seen: from, token: undefined };
    beside.send(from, { kind: "answer", ...answer, fields });
    beside.detach();
    return true;
  };
}

const replayTransaction = "again";

/** One replayer uses the token that another one was given. False: nobody had one. */
function replay(
  random: SeededRandom,
  replayers: readonly Machine[],
  honest: readonly Machine[],
): boolean {
  if (replayers.length < 2) return false;
  const victim = random.pick(honest);
  const token = replayers
    .map(({ run }) => run?.node.book.find(victim.endpoint)?.token)
    .find((each) => each !== undefined);
  const thief = replayers.find(
    ({ run }) => run !== undefined && run.node.book.find(victim.endpoint)?.token !== token,
  );
  const key = parseNodeId(random.bytes(20));
  if (token === undefined || thief?.run === undefined || key === undefined) return false;
  const values = [{ key, value: Uint8Array.of(0x64, 0x65) }];
  thief.run.port.send(victim.endpoint, {
    ...{ kind: "query", transaction: replayTransaction, version: "AP0.0.0" },
    ...{ id: thief.traits.id, readOnly: false, token, padding: 0 },
    query: { method: "store_value", port: 9977, values },
  });
  return true;
}
