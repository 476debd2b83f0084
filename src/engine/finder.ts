/**
 * Who has a file: the machines of the own network and those that were useful lately are asked at
 * once, the DHT at the same time if the file is worth a look-up.
 */
import type { Counters } from "../base/counters.ts";
import type { Endpoint } from "../base/endpoint.ts";
import type { Clock, Hashes } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { groupOf } from "../swarm/peer-book.ts";
import type { PieceList } from "../swarm/piece-lists.ts";
import type { PeerInfo } from "../swarm/types.ts";
import type { FoundPeer } from "./dht-lookup.ts";
import type { DhtService } from "./dht-service.ts";
import type { Neighbours } from "./neighbours.ts";

export interface FindEvents {
  readonly peers: (peers: readonly PeerInfo[]) => void;
  /** A list of pieces, by the word of a peer. */
  readonly list: (teller: string, group: string, list: PieceList) => void;
  /** Called once, later, unless cancelled: nobody else is expected soon. */
  readonly done: () => void;
}

export interface FindRound {
  /** Not in the DHT. */
  readonly where: "near" | undefined;
  /** It was looked for a moment ago: fewer are asked. */
  readonly again: boolean;
}

export interface Finder {
  /** Somebody is known who could be asked about any file. */
  readonly known: boolean;
  /** Machines of the own network that may want the same. */
  readonly neighbours: number;
  /** It is likely enough that peers have this file for the mirror to wait a moment. */
  hopeful(sha256: Sha256, sizeBytes: number): boolean;
  find(
    sha256: Sha256,
    sizeBytes: number,
    events: FindEvents,
    how?: FindRound,
  ): { readonly cancel: () => void };
  /** It has given pieces of a file that is proven now. */
  useful(endpoint: Endpoint): void;
}

export interface PeerFinderParts {
  readonly neighbours: Neighbours;
  /** undefined: this daemon takes no part in the DHT, or not yet. */
  readonly dht: () => DhtService | undefined;
  readonly hashes: Hashes;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly isNear: (address: string) => boolean;
  /** Smaller files are not looked up in the DHT. */
  readonly leastBytes: number;
}

export class PeerFinder implements Finder {
  readonly #parts: PeerFinderParts;

  constructor(parts: PeerFinderParts) {
    this.#parts = parts;
  }

  get known(): boolean {
    return this.#parts.neighbours.count > 0;
  }

  get neighbours(): number {
    return this.#parts.neighbours.near;
  }

  hopeful(sha256: Sha256, sizeBytes: number): boolean {
    const { neighbours } = this.#parts;
    return neighbours.hopeful || neighbours.mayHave(sha256) || this.#searchable(sizeBytes);
  }

  find(
    sha256: Sha256,
    sizeBytes: number,
    events: FindEvents,
    { where, again }: FindRound = { where: undefined, again: false },
  ): { readonly cancel: () => void } {
    const { neighbours, clock, counters } = this.#parts;
    const startMs = clock.monotonicMs();
    let left = 1;
    const over = (): void => {
      if (--left === 0) events.done();
    };
    const cancels: (() => void)[] = [];
    const far = where === undefined && this.#searchable(sizeBytes);
    const dht = far ? this.#parts.dht() : undefined;
    if (dht !== undefined) {
      left++;
      counters.add("swarm.lookups");
      let found = false;
      const lookup = dht.lookup(sha256, {
        peers: (peers) => {
          if (!found) {
            counters.add("swarm.lookups.found");
            counters.add("swarm.lookups.firstMs", Math.round(clock.monotonicMs() - startMs));
          }
          found = true;
          this.#tell(peers, events);
        },
        done: over,
      });
      cancels.push(() => lookup.cancel());
    }
    const nearEvents = { peers: events.peers, done: over };
    cancels.push(neighbours.find({ sha256, sizeBytes, again }, nearEvents).cancel);
    return { cancel: () => cancels.forEach((cancel) => cancel()) };
  }

  useful(endpoint: Endpoint): void {
    this.#parts.neighbours.useful(endpoint);
  }

  #searchable(sizeBytes: number): boolean {
    const { dht, leastBytes } = this.#parts;
    if (sizeBytes < leastBytes) return false;
    return dht()?.families.some(({ node }) => node.table.size > 0) === true;
  }

  #tell(found: readonly FoundPeer[], events: FindEvents): void {
    const { isNear, hashes } = this.#parts;
    const peers: PeerInfo[] = [];
    for (const { publisher, value } of found) {
      const near = isNear(publisher.address);
      const group = groupOf(publisher.address, near);
      const state = value.state.kind === "complete" ? "whole" : "unknown";
      peers.push({ endpoint: publisher, near, group, state, via: "dht" });
      // The publisher's private addresses are for those of its own network alone.
      for (const endpoint of value.privateAddresses) {
        if (!isNear(endpoint.address) || !near) continue;
        peers.push({ endpoint, near: true, group: endpoint.address, state: "unknown", via: "dht" });
      }
    }
    events.peers(peers);
    for (const { publisher, value } of found) {
      if (value.pieces.kind !== "inline") continue;
      const bytes = Buffer.concat(value.pieces.hashes);
      const group = groupOf(publisher.address, isNear(publisher.address));
      events.list(publisher.text, group, {
        id: Buffer.from(hashes.of(bytes)).toString("hex"),
        hashes: value.pieces.hashes.map((hash) => Buffer.from(hash).toString("hex")),
      });
    }
  }
}
