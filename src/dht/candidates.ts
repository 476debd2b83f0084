/**
 * Whom one lookup has heard of, nearest to its target first. What answers claim is bounded here: so
 * many candidates in all, so many of one /24 or /64, and at most two claims on one id or one address,
 * so that whoever lies about a node first does not hide it.
 */
import { dhtLimits } from "../base/dht-limits.ts";
import { subnetOf } from "../base/endpoint.ts";
import { compareDistance, idText, sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { PendingQuery } from "../krpc/transactions.ts";
import { distanceShare } from "./distance-share.ts";
import type { Contact } from "./types.ts";

export type CandidateState = "new" | "asked" | "suspect" | "answered" | "failed";

/** Fields that change are written by `Lookup` alone. */
export interface Candidate {
  readonly contact: Contact;
  /** Its distance from the target as a share of the id space. */
  readonly share: number;
  /** Among the few nodes around the target, one of which each of the closest will be. */
  readonly near: boolean;
  state: CandidateState;
  pending: PendingQuery | undefined;
  /** Values that it says it has and that have not been asked for. */
  held: number;
}

export class Candidates implements Iterable<Candidate> {
  readonly #target: NodeId;
  readonly #own: NodeId;
  readonly #nearShare: number;
  readonly #sorted: Candidate[] = [];
  /** Claims on each id, address and global subnet. */
  readonly #ids = new Map<string, number>();
  readonly #endpoints = new Map<string, number>();
  readonly #subnets = new Map<string, number>();

  /** `nearShare`: the distance, as a share of the id space, within which candidates are near. */
  constructor(target: NodeId, own: NodeId, nearShare: number) {
    this.#target = target;
    this.#own = own;
    this.#nearShare = nearShare;
  }

  [Symbol.iterator](): Iterator<Candidate> {
    return this.#sorted.values();
  }

  /** undefined if it is known, ourselves, one claim too many, or farther than all that are kept. */
  offer(contact: Contact, state: CandidateState): Candidate | undefined {
    if (sameId(contact.id, this.#own)) return undefined;
    const keys = this.#keys(contact);
    const place = this.#placeOf(contact);
    if (place >= dhtLimits.lookupCandidates || this.#knows(contact, place)) return undefined;
    if (!this.#room(keys)) return undefined;
    const share = distanceShare(this.#target, contact.id);
    const near = share <= this.#nearShare;
    const candidate: Candidate = { contact, share, near, state, pending: undefined, held: 0 };
    this.#sorted.splice(place, 0, candidate);
    this.#count(keys, 1);
    if (this.#sorted.length > dhtLimits.lookupCandidates) this.#dropFarthest();
    return candidate;
  }

  /** Whether one of those with the same id, which stand together, has the same address. */
  #knows({ id, endpoint }: Contact, place: number): boolean {
    for (let at = place; at < this.#sorted.length; at++) {
      const there = this.#sorted[at];
      if (there === undefined || !sameId(there.contact.id, id)) return false;
      if (there.contact.endpoint.text === endpoint.text) return true;
    }
    return false;
  }

  #placeOf({ id }: Contact): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const there = this.#sorted[middle];
      if (there !== undefined && compareDistance(this.#target, there.contact.id, id) < 0) {
        low = middle + 1;
      } else high = middle;
    }
    return low;
  }

  #dropFarthest(): void {
    const dropped = this.#sorted.pop();
    if (dropped === undefined) return;
    dropped.pending?.cancel();
    this.#count(this.#keys(dropped.contact), -1);
  }

  #keys({ id, endpoint, peer }: Contact): ClaimKeys {
    const subnet = peer.scope === "global" ? subnetOf(endpoint.address) : undefined;
    return { id: idText(id), endpoint: endpoint.text, subnet };
  }

  #room({ id, endpoint, subnet }: ClaimKeys): boolean {
    return (
      (this.#ids.get(id) ?? 0) < claims &&
      (this.#endpoints.get(endpoint) ?? 0) < claims &&
      (subnet === undefined || (this.#subnets.get(subnet) ?? 0) < dhtLimits.subnetPerLookup)
    );
  }

  #count({ id, endpoint, subnet }: ClaimKeys, by: 1 | -1): void {
    add(this.#ids, id, by);
    add(this.#endpoints, endpoint, by);
    if (subnet !== undefined) add(this.#subnets, subnet, by);
  }
}

interface ClaimKeys {
  readonly id: string;
  readonly endpoint: string;
  /** Of global addresses only. */
  readonly subnet: string | undefined;
}

/** The truth and one lie. */
const claims = 2;

function add(counts: Map<string, number>, key: string, by: 1 | -1): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
