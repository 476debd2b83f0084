/** What tests of a holder's parts have in common. */
import { Counters } from "../../../src/base/counters.ts";
import type { NodeId } from "../../../src/base/node-id.ts";
import { ValueStore, type ValueStoreParts } from "../../../src/dht/value-store.ts";
import type { DhtRecords } from "../../../src/dht/ports.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

/** An id that begins with these bytes, the rest 0. */
export function idOf(...bytes: readonly number[]): NodeId {
  const id = new Uint8Array(20);
  id.set(bytes);
  return id as NodeId;
}

/** Key number `number`: they spread over the id space. */
export function keyNumber(number: number): NodeId {
  return new Uint8Array(nodeHashes.of(`key ${number}`).subarray(0, 20)) as NodeId;
}

/** Records in memory, as they would be found by the next start. */
export class MemoryRecords implements DhtRecords {
  readonly map = new Map<string, string>();

  initial(prefix: string): (readonly [string, string])[] {
    return [...this.map].filter(([key]) => key.startsWith(prefix));
  }

  put(key: string, value: string | undefined): void {
    if (value === undefined) this.map.delete(key);
    else this.map.set(key, value);
  }
}

export interface Holder {
  readonly store: ValueStore;
  readonly clock: VirtualClock;
  readonly counters: Counters;
}

/** A store with id 0, and what it stands on. */
export function holder(parts: Partial<ValueStoreParts> = {}): Holder {
  const clock = new VirtualClock();
  const counters = new Counters();
  const store = new ValueStore({
    ...{ ownId: idOf(), family: 4, hashes: nodeHashes, clock, counters },
    secret: nodeHashes.of("secret").subarray(0, 20),
    ...parts,
  });
  return { store, clock, counters };
}
