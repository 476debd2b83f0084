/** A machine's disk: what its node and publisher wrote in earlier runs. */
import type { DhtRecords } from "../../dht/ports.ts";

const contacts = "dht!contacts";

export class LabRecords {
  readonly #keepsAll: boolean;
  /** Bounded by what one node writes: contacts alone are one entry. */
  readonly #entries = new Map<string, string>();
  /** Counts runs: what an earlier one writes late is not written. */
  #run = 0;

  /** Without `keepsAll` only contacts are kept: millions of values would fill the memory. */
  constructor(keepsAll: boolean) {
    this.#keepsAll = keepsAll;
  }

  /** For one run, until `close` or the next `open`. */
  open(): DhtRecords {
    const run = ++this.#run;
    const initial = [...this.#entries];
    return {
      initial: (prefix) => initial.filter(([key]) => key.startsWith(prefix)),
      put: (key, value) => {
        if (run !== this.#run || !(this.#keepsAll || key.startsWith(contacts))) return;
        if (value === undefined) this.#entries.delete(key);
        else this.#entries.set(key, value);
      },
    };
  }

  close(): void {
    this.#run++;
  }
}
