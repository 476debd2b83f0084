/** How true the routing tables are: which of their entries name somebody who is there. */
import { sameId } from "../../base/node-id.ts";
import type { Contact } from "../../dht/types.ts";
import type { DhtWorld } from "./world.ts";

export interface TableHealth {
  /** Entries of all running nodes' tables. */
  readonly entries: number;
  /** Of them, those of nodes that do not run any more, or elsewhere, or are another one by now. */
  readonly gone: number;
  /** Of them, those of nodes that strangers do not reach. */
  readonly hidden: number;
  /** Gone ones whose table knows of a failure: they are about to be evicted. */
  readonly doubted: number;
  /** (gone + hidden) / entries; 0 without entries. */
  readonly deadShare: number;
  readonly meanSize: number;
}

export function tableHealth(world: DhtWorld): TableHealth {
  let [entries, gone, hidden, doubted] = [0, 0, 0, 0];
  for (const { run } of world.live) {
    for (const contact of run?.node.table.contacts() ?? []) {
      entries++;
      const state = stateOf(world, contact);
      if (state === "hidden") hidden++;
      if (state !== "gone") continue;
      gone++;
      if (contact.peer.failures > 0) doubted++;
    }
  }
  const meanSize = entries / Math.max(1, world.live.length);
  const deadShare = (gone + hidden) / Math.max(1, entries);
  return { entries, gone, hidden, doubted, deadShare, meanSize };
}

function stateOf(world: DhtWorld, { id, endpoint }: Contact): "there" | "gone" | "hidden" {
  const machine = world.at(endpoint.text);
  if (machine === undefined || !sameId(machine.traits.id, id)) return "gone";
  return machine.reachable ? "there" : "hidden";
}
