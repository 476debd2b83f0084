/** What the parts of a DHT node say to each other. */
import type { NodeId } from "../base/node-id.ts";
import type { NodeInfo, Query } from "../krpc/message.ts";
import type { Outcome } from "../krpc/transactions.ts";
import type { Peer } from "./peer-book.ts";

/** A node in the routing table, or one met in a lookup. */
export interface Contact extends NodeInfo {
  readonly peer: Peer;
}

/** What a node's parts may ask of other nodes. */
export interface Asker {
  /**
   * One patient query: sent up to four times, with a token if the method needs one. Calls back
   * exactly once, never from inside the call.
   */
  ask(to: Contact, query: Query, done: (outcome: Outcome) => void): void;
  /** The closest nodes that answered a patient lookup, nearest first, at most `width` of them. */
  findClosest(target: NodeId, width: number, done: (closest: readonly Contact[]) => void): void;
}
