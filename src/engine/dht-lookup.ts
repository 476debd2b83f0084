/**
 * One look-up of a file in all address families at once: what the holders gave as bytes comes out as
 * peers, as soon as it is there. Nothing of it is proven: a peer is who says that it has the file.
 */
import type { Counters } from "../base/counters.ts";
import { scopeOf } from "../base/endpoint.ts";
import type { Endpoint, Family } from "../base/endpoint.ts";
import { sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock } from "../base/ports.ts";
import { mayKnow } from "../dht/answering.ts";
import type { Hop } from "../dht/lookup.ts";
import type { LookupHandle } from "../dht/node.ts";
import type { Contact } from "../dht/types.ts";
import type { HeldValue } from "../krpc/message.ts";
import { parseValue } from "../krpc/value.ts";
import type { FileValue } from "../krpc/value.ts";
import type { DhtFamily } from "./dht-family.ts";

export interface FoundPeer {
  /** Where it serves peers: TCP. */
  readonly publisher: Endpoint;
  readonly value: FileValue;
}

export interface PeerLookupEvents {
  /** New peers, or known ones in another state. */
  readonly peers?: (peers: readonly FoundPeer[]) => void;
  readonly hop?: (hop: Hop, family: Family) => void;
  /** Called once, unless cancelled before; never from inside the call. */
  readonly done: (summary: PeerLookupSummary) => void;
}

export interface PeerLookupSummary {
  /** Families that were searched: 0 means that no other node is known. */
  readonly families: number;
  /** Datagrams sent, retransmissions included. */
  readonly messages: number;
  /** The closest nodes that answered, all families together. */
  readonly closest: number;
}

export interface PeerLookupParts {
  readonly families: readonly DhtFamily[];
  readonly clock: Clock;
  readonly counters: Counters;
  /** Whether a publisher is this daemon. */
  readonly isOwn: (publisher: Endpoint) => boolean;
}

export function lookupPeers(
  parts: PeerLookupParts,
  key: NodeId,
  events: PeerLookupEvents,
): LookupHandle {
  const { clock } = parts;
  const searched = parts.families.filter(
    ({ node }) => node.table.size + node.keeper.quarantined > 0 || node.store.count(key) > 0,
  );
  let left = searched.length;
  /** Publisher and value: what this node holds itself is named by others as well. */
  const known = new Set<string>();
  let [messages, closest] = [0, 0];
  if (left === 0) {
    return { cancel: clock.after(0, () => events.done({ families: 0, messages, closest })) };
  }
  const handles = searched.map(({ node, family }) =>
    node.lookup(key, {
      values: (values, from) => {
        const peers = readable(parts, values, { from, own: node.id, known });
        if (peers.length > 0) events.peers?.(peers);
      },
      hop: (hop) => events.hop?.(hop, family),
      done: (result) => {
        messages += result.messages;
        closest += result.closest.length;
        if (--left === 0) events.done({ families: searched.length, messages, closest });
      },
    }),
  );
  return {
    cancel: () => {
      for (const handle of handles) handle.cancel();
    },
  };
}

function readable(
  { counters, isOwn }: PeerLookupParts,
  values: readonly HeldValue[],
  {
    from,
    own,
    known,
  }: { readonly from: Contact; readonly own: NodeId; readonly known: Set<string> },
): FoundPeer[] {
  return values.flatMap(({ publisher, value }) => {
    if (isOwn(publisher)) return [];
    // What this node holds itself came to it from the publisher's own address.
    const told = sameId(from.id, own) || mayKnow(from.peer.scope, scopeOf(publisher.address));
    if (!told) {
      counters.add("dht.value.misplaced");
      return [];
    }
    const text = `${publisher.text} ${Buffer.from(value).toString("latin1")}`;
    if (known.has(text)) return [];
    known.add(text);
    const parsed = parseValue(value);
    if (parsed.kind === "file") return [{ publisher, value: parsed.value }];
    counters.add("dht.value.unreadable");
    return [];
  });
}
