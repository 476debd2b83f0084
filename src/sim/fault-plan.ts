import { AptP2pError } from "../base/errors.ts";

export interface Faults {
  /** The operation with this number (from 0) fails. */
  readonly failAt?: number;
  /** Fails every operation for which this is true. */
  readonly failWhen?: (operation: string, index: number) => boolean;
  /** What a failing operation rejects with; STORAGE by default. */
  readonly failure?: () => Error;
  /** The world stops at this operation: it and all later ones never return. */
  readonly stopAt?: number;
}

/**
 * Counts the operations of a simulated world (files and database together) and lets a chosen one
 * fail, or the whole world stop there, as at a crash.
 */
export class FaultPlan {
  faults: Faults;
  #operations = 0;
  #stop: () => void = () => undefined;
  #isStopped = false;
  /** Resolves when the world stops. */
  readonly stopped: Promise<void>;

  constructor(faults: Faults = {}) {
    this.faults = faults;
    this.stopped = new Promise((resolve) => {
      this.#stop = resolve;
    });
  }

  get operations(): number {
    return this.#operations;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** From now on no operation returns. */
  stop(): void {
    this.#isStopped = true;
    this.#stop();
  }

  /** Awaited by every operation before it takes effect. */
  async step(operation: string): Promise<void> {
    const index = this.#operations++;
    if (index === this.faults.stopAt) this.stop();
    // An operation takes a while, in which others begin.
    await Promise.resolve();
    if (this.#isStopped) await new Promise<never>(() => undefined);
    if (index === this.faults.failAt || this.faults.failWhen?.(operation, index) === true) {
      throw (
        this.faults.failure?.() ??
        new AptP2pError("STORAGE", `operation ${index} (${operation}) fails as planned`)
      );
    }
  }
}

/** How a simulated world ends: `kill` keeps every write, `power` only what was synced for sure. */
export type CrashKind = "kill" | "power";
