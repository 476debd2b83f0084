/** What the parts of a DHT node say to each other. */
import type { NodeInfo } from "../krpc/message.ts";
import type { Peer } from "./peer-book.ts";

/** A node in the routing table, or one met in a lookup. */
export interface Contact extends NodeInfo {
  readonly peer: Peer;
}
