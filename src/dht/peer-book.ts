/**
 * What this node knows of each address it has dealt with: round trips, token, failures. Lookups share
 * it, so that the second lookup knows what the first one learnt. Addresses in the routing table are
 * held by it; of all others the least recently used are forgotten.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import { scopeOf } from "../base/endpoint.ts";
import type { AddressScope, Endpoint } from "../base/endpoint.ts";

/** One address. Fields are written by `PeerBook` and `DhtNode` alone. */
export interface Peer {
  readonly endpoint: Endpoint;
  /** Smoothed round trip and its variation (RFC 6298); undefined before the first answer. */
  srttMs: number | undefined;
  rttvarMs: number;
  /** Queries in a row that nothing came back for. */
  failures: number;
  /** It let a query run into its time-out and has not answered since. */
  suspect: boolean;
  /** Its last token for us, and when it came. */
  token: Uint8Array | undefined;
  tokenAtMs: number;
  /** When anything last came from its address: that opened a pinhole, whoever sent it. */
  arrivedAtMs: number;
  /** When it last showed that it lives, and when we last sent it a query; -Infinity for never. */
  heardAtMs: number;
  sentAtMs: number;
  /** When it proved to be reachable; -Infinity for never. */
  provenAtMs: number;
  /** Of its address. */
  readonly scope: AddressScope;
}

/** RFC 6298's weights: 1/8 for the mean, 1/4 for the variation. */
export function noteRoundTrip(peer: Peer, rttMs: number): void {
  if (peer.srttMs === undefined) {
    peer.srttMs = rttMs;
    peer.rttvarMs = rttMs / 2;
    return;
  }
  peer.rttvarMs += (Math.abs(peer.srttMs - rttMs) - peer.rttvarMs) / 4;
  peer.srttMs += (rttMs - peer.srttMs) / 8;
}

/** Written out: spreading objects into one another costs as much as all the rest of a lookup. */
function newPeer(endpoint: Endpoint): Peer {
  return {
    endpoint,
    srttMs: undefined,
    rttvarMs: 0,
    failures: 0,
    suspect: false,
    token: undefined,
    tokenAtMs: -Infinity,
    arrivedAtMs: -Infinity,
    heardAtMs: -Infinity,
    sentAtMs: -Infinity,
    provenAtMs: -Infinity,
    scope: scopeOf(endpoint.address),
  };
}

export class PeerBook {
  readonly #known: BoundedMap<string, Peer>;

  constructor(limit: number = dhtLimits.knownPeers) {
    this.#known = new BoundedMap(limit);
  }

  /** The record of an address, made if there is none. */
  peer(endpoint: Endpoint): Peer {
    const known = this.#known.get(endpoint.text);
    if (known !== undefined) return known;
    const peer: Peer = newPeer(endpoint);
    this.#known.set(endpoint.text, peer);
    return peer;
  }

  /** The record of an address if there is one. */
  find(endpoint: Endpoint): Peer | undefined {
    return this.#known.get(endpoint.text);
  }

  get size(): number {
    return this.#known.size;
  }
}
