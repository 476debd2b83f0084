/** A run: hosts are prepared, phases follow one another, and at the end everything is collected. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { seededBytes, sha256 } from "../../test/kit/bytes.ts";
import { pooled } from "../../test/kit/pooled.ts";
import { scratchDirectory } from "../../test/kit/scratch.ts";
import { merged } from "../../test/swarm/bed.ts";
import { Actor, message } from "./actor.ts";
import type { Action, Files } from "./actor.ts";
import type { LabBed } from "./host.ts";
import { bytesOf } from "./ledger.ts";
import type { Bytes, Counters } from "./ledger.ts";
import { schedule, settingsOf } from "./plan.ts";
import type { Task } from "./plan.ts";
import type { Phase, Scenario } from "./scenario.ts";

export interface RunOptions {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly bed: LabBed;
  readonly say: (text: string) => void;
}

export interface HostResult {
  readonly name: string;
  readonly group: string;
  /** A liar runs no daemon of ours, and counts nothing. */
  readonly kind: "daemon" | "liar";
  readonly address: string;
  /** How long the daemon's first start took; absent: it never ran. */
  readonly readyMs: number | undefined;
  readonly failures: readonly string[];
  readonly bytes: Bytes;
  readonly cpuMs: number;
  readonly peakRssBytes: number;
  readonly counters: Counters;
  readonly log: string;
}

export interface PhaseResult {
  readonly name: string;
  readonly measured: boolean;
  readonly startedMs: number;
  readonly milliseconds: number;
  /** Of all hosts together, within the phase. */
  readonly bytes: Bytes;
  /** What the made archive's mirror sent within it; `wireBytes` with headers, only in namespaces. */
  readonly mirror:
    | { readonly requests: number; readonly bodyBytes: number; readonly wireBytes: number }
    | undefined;
}

export interface RunResult {
  readonly hosts: readonly HostResult[];
  readonly phases: readonly PhaseResult[];
  readonly actions: readonly Action[];
}

export function run(options: RunOptions): Promise<RunResult> {
  return new Run(options).all();
}

class Run {
  readonly #options: RunOptions;
  readonly #actors: readonly Actor[];
  readonly #random: SeededRandom;
  readonly #actions: Action[] = [];
  readonly #shared: SharedFiles;
  readonly #begunMs = performance.now();

  constructor(options: RunOptions) {
    const { bed, scenario, seed } = options;
    this.#options = options;
    this.#random = new SeededRandom(seed);
    this.#shared = new SharedFiles(scenario, seed);
    const files: Files = {
      archive: bed.made?.archive,
      mirrorUrl: bed.made?.mirror.url ?? "",
      shared: (name) => this.#shared.get(name),
    };
    this.#actors = bed.places.map(({ member, host }) => new Actor(member, host, files));
  }

  async all(): Promise<RunResult> {
    try {
      await this.#prepare();
      const phases: PhaseResult[] = [];
      for (const phase of this.#options.scenario.phases) phases.push(await this.#phase(phase));
      return { phases, hosts: await this.#collect(), actions: this.#actions };
    } finally {
      this.#shared.remove();
    }
  }

  get #nowMs(): number {
    return performance.now() - this.#begunMs;
  }

  /** Those that run a daemon. */
  get #daemons(): readonly Actor[] {
    return this.#actors.filter(({ member }) => member.group.liar === undefined);
  }

  async #prepare(): Promise<void> {
    const { bed, scenario, say } = this.#options;
    const settings = new Map(
      bed.places.map((place) => [
        place.member,
        merged(bed.settings, settingsOf(scenario.settings, place, bed.places)),
      ]),
    );
    await pooled(this.#daemons, bed.width, async (actor) => {
      await actor.prepare(settings.get(actor.member) ?? {});
      if (actor.broken !== undefined) say(`${actor.member.name} FAILED: ${actor.broken}`);
    });
    await bed.startLiars();
    const ready = this.#daemons.filter(({ broken }) => broken === undefined).length;
    say(`${ready} of ${this.#daemons.length} hosts are ready`);
  }

  async #phase(phase: Phase): Promise<PhaseResult> {
    const { bed, say } = this.#options;
    const before = await this.#totals();
    bed.made?.mirror.reset();
    const startedMs = this.#nowMs;
    const members = bed.places.map(({ member }) => member);
    await this.#perform(phase, schedule(phase, members, this.#random));
    const milliseconds = this.#nowMs - startedMs;
    const traffic = bed.made?.mirror.traffic();
    for (const actor of this.#daemons) await actor.settle().catch(() => undefined);
    const bytes = bytesOf(await this.#totals(), before);
    say(`${phase.name}: ${(milliseconds / 1000).toFixed(1)} s`);
    await delay(phase.pause);
    return {
      ...{ name: phase.name, measured: phase.measured, startedMs, milliseconds, bytes },
      mirror: traffic && {
        requests: traffic.requests,
        bodyBytes: traffic.bodyBytes,
        wireBytes: traffic.wireBytes,
      },
    };
  }

  async #perform(phase: Phase, tasks: readonly Task[]): Promise<void> {
    const begunMs = performance.now();
    const ends = new Map<unknown, Promise<void>>();
    const work: Promise<void>[] = [];
    // One by one, so that what is due at the same time keeps the order of the file.
    for (const task of tasks) {
      const leftMs = begunMs + task.atMs - performance.now();
      if (leftMs > 0) await delay(leftMs);
      // A host does one thing that it is asked for at a time, in the order of the file.
      const keys = takesTurns(task.event) ? [task.chain, task.member] : [task.chain];
      const before = Promise.all(keys.map((key) => ends.get(key) ?? Promise.resolve()));
      const mine = before.then(() => this.#one(phase, task));
      for (const key of keys) ends.set(key, mine);
      work.push(mine);
    }
    await Promise.all(work);
  }

  /** Never throws: what goes wrong is an action that failed. */
  async #one(phase: Phase, { member, event }: Task): Promise<void> {
    const actor = this.#actors.find((each) => each.member === member);
    if (actor === undefined || actor.broken !== undefined) return;
    const startedMs = this.#nowMs;
    const result = await this.#done(actor, event).catch((error: unknown) => ({
      ...{ milliseconds: this.#nowMs - startedMs, trouble: message(error) },
    }));
    const { trouble } = result;
    const allowed = trouble !== undefined && event.mayFail;
    this.#actions.push({
      ...{ host: member.name, phase: phase.name, do: event.do, what: whatOf(event) },
      ...{ startedMs: Math.round(startedMs), milliseconds: Math.round(result.milliseconds) },
      ...{ ok: trouble === undefined, allowed, trouble },
    });
    if (trouble !== undefined && !allowed) {
      this.#options.say(`${member.name} FAILED to ${event.do} ${whatOf(event)}: ${trouble}`);
    }
  }

  async #done(
    actor: Actor,
    event: Task["event"],
  ): Promise<{ readonly milliseconds: number; readonly trouble?: string }> {
    const { network } = this.#options.bed;
    if (event.do === "partition") network?.partition([actor.member]);
    else if (event.do === "heal") network?.heal([actor.member]);
    else if (event.do === "link") network?.setLink(actor.member, event);
    else return actor.perform(event);
    return { milliseconds: 0 };
  }

  /** The counters of all hosts together; who does not answer counts as it was last seen. */
  async #totals(): Promise<Counters> {
    const each = await pooled(this.#daemons, this.#options.bed.width, async (actor) => {
      if (actor.answering) await actor.ledger.read().catch(() => undefined);
      return actor.ledger.counters;
    });
    const totals: Record<string, number> = {};
    for (const [name, value] of each.flatMap((counters) => Object.entries(counters))) {
      totals[name] = (totals[name] ?? 0) + value;
    }
    return totals;
  }

  #collect(): Promise<readonly HostResult[]> {
    const { bed } = this.#options;
    return pooled(bed.places, bed.width, async ({ member, address, host }, index) => {
      const actor = this.#actors[index];
      if (actor === undefined) throw new Error("a place without an actor");
      const failures = actor.broken === undefined ? [] : [actor.broken];
      const runs = member.group.liar === undefined;
      if (actor.answering && runs) {
        await actor.ledger.read().catch((error: unknown) => {
          failures.push(`its daemon does not answer: ${message(error)}`);
        });
      }
      const log = runs ? await host.log().catch((error: unknown) => message(error)) : "";
      const failed = this.#actions.filter(
        (each) => each.host === member.name && !each.ok && !each.allowed,
      );
      failures.push(
        ...failed.map((each) => `${each.do} ${each.what}`.trimEnd() + `: ${each.trouble ?? ""}`),
      );
      const { counters, cpuMs, peakRssBytes } = actor.ledger;
      return {
        ...{ name: member.name, group: member.group.name, address },
        ...{ kind: runs ? ("daemon" as const) : ("liar" as const), readyMs: actor.readyMs },
        ...{ failures, bytes: bytesOf(counters), cpuMs, peakRssBytes, counters, log },
      };
    });
  }
}

/** Stops and cuts come in the middle of what is under way; that is what they are for. */
function takesTurns({ do: what }: Task["event"]): boolean {
  return ["update", "install", "get", "share", "forget"].includes(what);
}

function whatOf(event: Task["event"]): string {
  if (event.do === "install") return event.packages.join(" ");
  return event.do === "get" || event.do === "share" ? event.file : "";
}

/** Files that hosts share: their bytes depend on the seed and the name. */
class SharedFiles {
  readonly #scratch = scratchDirectory("shared");
  readonly #sizes: ReadonlyMap<string, number>;
  readonly #seed: number;
  readonly #made = new Map<string, { readonly path: string; readonly sha256: string }>();

  constructor({ phases }: Scenario, seed: number) {
    this.#seed = seed;
    this.#sizes = new Map(
      phases
        .flatMap(({ events }) => events)
        .flatMap((event) => (event.do === "share" ? [[event.file, event.size] as const] : [])),
    );
  }

  get(name: string): { readonly path: string; readonly sha256: string } {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const bytes = seededBytes(`${this.#seed} ${name}`, this.#sizes.get(name) ?? 0);
    const made = { path: join(this.#scratch.path, name), sha256: sha256(bytes) };
    writeFileSync(made.path, bytes);
    this.#made.set(name, made);
    return made;
  }

  remove(): void {
    this.#scratch.remove();
  }
}
