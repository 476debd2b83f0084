/**
 * Asks all the time: a running node by chance looks up a key by chance that another one publishes.
 * A lookup succeeds when that publisher's own value is delivered in time.
 */
import type { NodeId } from "../../base/node-id.ts";
import { minute, second } from "../../base/units.ts";
import { endpoint } from "../../base/endpoint.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { labTcpPort } from "./machine.ts";
import type { Machine, Run } from "./machine.ts";
import type { DhtWorld } from "./world.ts";

export interface ProberSettings {
  readonly random: SeededRandom;
  readonly everyMs: number;
  /** Nodes that have run for a shorter time neither ask nor are asked for. */
  readonly leastAgeMs?: number;
  readonly mayAsk?: (machine: Machine) => boolean;
  readonly mayBeWanted?: (machine: Machine) => boolean;
  /** Instead of any key of the machine that is wanted. */
  readonly keyOf?: (machine: Machine) => NodeId | undefined;
}

export interface Probe {
  readonly atMs: number;
  readonly asker: Machine;
  readonly publisher: Machine;
  readonly key: NodeId;
  /** Until the value came; undefined: it did not in time. */
  firstMs: number | undefined;
  /** Until the lookup's end; undefined: it had none in time. */
  doneMs: number | undefined;
  messages: number;
  /** For a miss: running nodes that hold the value, and of them those that strangers reach. */
  holders: number;
  reachableHolders: number;
}

/** A value later than this is none: who asked has gone to the mirror. */
export const probePatienceMs = 20 * second;

/** Draws in vain, in a row, before this turn is given up: nobody may fit. */
const mostDraws = 50;

export class Prober {
  readonly #world: DhtWorld;
  readonly #settings: ProberSettings;
  /** Those that have ended: as many as the experiment asks for. */
  readonly probes: Probe[] = [];
  /** Keys that were drawn although nobody holds them yet: not looked up. */
  unplaced = 0;
  /** Lookups whose asker went away meanwhile: not counted. */
  abandoned = 0;
  #stopTimer: () => void = () => undefined;

  constructor(world: DhtWorld, settings: ProberSettings) {
    this.#world = world;
    this.#settings = settings;
  }

  start(): void {
    const { everyMs, random } = this.#settings;
    this.#stopTimer = this.#world.clock.after(everyMs * (0.5 + random.next()), () => {
      this.#probe();
      this.start();
    });
  }

  /** Lookups under way still end. */
  stop(): void {
    this.#stopTimer();
  }

  get misses(): readonly Probe[] {
    return this.probes.filter(({ firstMs }) => firstMs === undefined);
  }

  #probe(): void {
    const { random, mayAsk, mayBeWanted, keyOf } = this.#settings;
    const asker = this.#draw((machine) => mayAsk?.(machine) ?? true);
    const publisher = this.#draw((machine, { publisher: publishes }) => {
      return publishes !== undefined && machine !== asker && (mayBeWanted?.(machine) ?? true);
    });
    if (asker?.run === undefined || publisher?.run === undefined) return;
    const key = keyOf === undefined ? random.pick(publisher.traits.keys) : keyOf(publisher);
    if (key === undefined) return;
    if ((publisher.run.publisher?.holdersOf(key).length ?? 0) === 0) {
      this.unplaced++;
      return;
    }
    this.#lookUp(asker, asker.run, publisher, key);
  }

  #lookUp(asker: Machine, run: Run, publisher: Machine, key: NodeId): void {
    const { clock } = this.#world;
    const atMs = clock.monotonicMs();
    const wanted = endpoint(publisher.endpoint.address, labTcpPort).text;
    const probe: Probe = {
      ...{ atMs, asker, publisher, key, firstMs: undefined, doneMs: undefined },
      ...{ messages: 0, holders: 0, reachableHolders: 0 },
    };
    const passedMs = (): number => clock.monotonicMs() - atMs;
    run.node.lookup(key, {
      values: (values) => {
        if (values.some((value) => value.publisher.text === wanted)) probe.firstMs ??= passedMs();
      },
      done: ({ messages }) => {
        probe.doneMs = passedMs();
        probe.messages = messages;
      },
    });
    clock.after(probePatienceMs, () => {
      if (asker.run !== run) this.abandoned++;
      else this.#ended(probe);
    });
  }

  #ended(probe: Probe): void {
    this.probes.push({ ...probe });
    if (probe.firstMs !== undefined) return;
    const last = this.probes.at(-1);
    if (last === undefined) return;
    for (const { run, reachable } of this.#world.live) {
      if ((run?.node.store.count(probe.key) ?? 0) === 0) continue;
      last.holders++;
      if (reachable) last.reachableHolders++;
    }
  }

  #draw(fits: (machine: Machine, run: Run) => boolean): Machine | undefined {
    const { random, leastAgeMs = 2 * minute } = this.#settings;
    const { live, clock } = this.#world;
    for (let draw = 0; draw < mostDraws && live.length > 0; draw++) {
      const machine = random.pick(live);
      const { run } = machine;
      if (run === undefined || clock.monotonicMs() - run.sinceMs < leastAgeMs) continue;
      if (run.node.joining.state === "joined" && fits(machine, run)) return machine;
    }
    return undefined;
  }
}
