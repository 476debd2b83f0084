/**
 * Machines come and go: after its session one is switched off or killed, and within a minute another
 * one takes its part: one that was away long enough, with its id, address and remembered contacts,
 * or else a new one. So there are always as many.
 */
import type { Random } from "../../base/ports.ts";
import { hour, minute } from "../../base/units.ts";
import { lognormal, session2008Ms } from "../net/distributions.ts";
import type { Machine } from "./machine.ts";
import type { DhtWorld } from "./world.ts";

export interface ChurnSettings {
  readonly sessionMs: (random: Random) => number;
  /** How long those who come back stay away. */
  readonly pauseMs: (random: Random) => number;
  /** Share of those who leave that will come back. */
  readonly returnShare: number;
  /** Share that is killed instead of stopped. */
  readonly killShare: number;
}

/** Sessions as measured for 2008; half come back, after a night's length or so. */
export const defaultChurn: ChurnSettings = {
  sessionMs: session2008Ms,
  pauseMs: (random) => lognormal(random, 8 * hour, 1),
  returnShare: 0.5,
  killShare: 0.7,
};

interface Absent {
  readonly machine: Machine;
  readonly backAtMs: number;
}

export class Churn {
  readonly #world: DhtWorld;
  readonly #settings: ChurnSettings;
  /** As many as came back late: at most the sessions of one pause. */
  #absent: Absent[] = [];
  left = 0;
  returned = 0;
  fresh = 0;

  constructor(world: DhtWorld, settings: ChurnSettings = defaultChurn) {
    this.#world = world;
    this.#settings = settings;
  }

  /** A machine has been started: its session begins. Bootstrap hosts stay. */
  begun(machine: Machine): void {
    if (machine.traits.bootstrap) return;
    const { clock, random } = this.#world;
    clock.after(this.#settings.sessionMs(random), () => this.#ended(machine));
  }

  #ended(machine: Machine): void {
    const { clock, random } = this.#world;
    const { killShare, returnShare, pauseMs } = this.#settings;
    this.left++;
    this.#world.stop(machine, random.chance(killShare) ? "kill" : "stop");
    if (random.chance(returnShare)) {
      this.#absent.push({ machine, backAtMs: clock.monotonicMs() + pauseMs(random) });
    }
    clock.after(random.next() * minute, () => {
      const next = this.#next();
      this.#world.start(next);
      this.begun(next);
    });
  }

  #next(): Machine {
    const nowMs = this.#world.clock.monotonicMs();
    const due = this.#absent.find(({ backAtMs }) => backAtMs <= nowMs);
    if (due === undefined) {
      this.fresh++;
      return this.#world.add();
    }
    this.returned++;
    this.#absent = this.#absent.filter((absent) => absent !== due);
    return due.machine;
  }
}
