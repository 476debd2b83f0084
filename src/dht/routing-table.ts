/**
 * The routing table of one node (Kademlia, section 2.4). The package `k-bucket` knows its members by
 * id; by address and by bucket they are kept here, where the buckets have their different sizes.
 *
 * Departures from the paper:
 * - Buckets are counted by the bits that a contact shares with our id, and near the root they are
 *   larger: one more contact there saves a hop and costs one ping in a while.
 * - Only who has proved to be reachable enters; the table itself asks nobody.
 * - A full bucket takes a newcomer in place of a failing contact or, where buckets are only there
 *   for speed, of one that is far slower. Otherwise the newcomer waits among the spares.
 * - An id keeps its address, an address its id, until the old one has failed: who merely knows an id
 *   cannot move it.
 * - Few contacts of one /24 or /64 (global addresses only), so that one party fills no bucket.
 */
import KBucket from "k-bucket";
import { dhtLimits } from "../base/dht-limits.ts";
import { subnetOf } from "../base/endpoint.ts";
import { commonPrefix, compareDistance, idBits, idText, sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Contact } from "./types.ts";

export interface TableSettings {
  /** By bits in common with our id; deeper buckets have the last size. */
  readonly bucketSizes: readonly number[];
  /** Whether a far faster newcomer may replace a slow contact in the larger buckets. */
  readonly rttBias: boolean;
}

export type Addition = "added" | "known" | "replaced" | "spare" | "refused";

interface Bucket {
  readonly contacts: Set<Contact>;
  /** Contacts by /24 or /64. */
  readonly subnets: Map<string, number>;
  /** Proven candidates, oldest first. */
  spares: Contact[];
  lookedUpAtMs: number;
}

interface Selection {
  readonly target: NodeId;
  readonly count: number;
  /** Depths of the buckets, both included. */
  readonly from: number;
  readonly to: number;
}

export class RoutingTable {
  readonly #own: NodeId;
  readonly #settings: TableSettings;
  readonly #tree: KBucket<Contact>;
  readonly #byEndpoint = new Map<string, Contact>();
  readonly #buckets: (Bucket | undefined)[] = [];
  readonly #subnets = new Map<string, number>();

  constructor(own: NodeId, settings: TableSettings) {
    this.#own = own;
    this.#settings = settings;
    this.#tree = new KBucket<Contact>({
      localNodeId: own,
      // It has one size for all its leaves; ours are kept in `#buckets`, so none of them fills up.
      numberOfNodesPerKBucket: Math.max(...settings.bucketSizes),
      arbiter: (incumbent) => incumbent,
    });
  }

  get size(): number {
    return this.#byEndpoint.size;
  }

  contacts(): Iterable<Contact> {
    return this.#byEndpoint.values();
  }

  /** The contact at this address (`Endpoint.text`). */
  at(endpointText: string): Contact | undefined {
    return this.#byEndpoint.get(endpointText);
  }

  /**
   * Nearest first. Buckets differ in their first bits, so most of them need not be looked at; the
   * package's own search sorts the largest bucket each time, which takes ten times as long.
   */
  closest(target: NodeId, count: number): Contact[] {
    const depth = commonPrefix(this.#own, target);
    const found: Contact[] = [];
    // The target's own bucket, then all that share more with us than the target does, then the rest.
    this.#select(found, { target, count, from: depth, to: depth });
    if (found.length < count) {
      this.#select(found, { target, count, from: depth + 1, to: this.#buckets.length - 1 });
    }
    for (let higher = depth - 1; higher >= 0 && found.length < count; higher--) {
      this.#select(found, { target, count, from: higher, to: higher });
    }
    return found;
  }

  /** Takes in a contact that has just proved to be reachable. */
  add(contact: Contact): Addition {
    if (sameId(contact.id, this.#own)) return "refused";
    const known = this.#byEndpoint.get(contact.endpoint.text);
    if (known !== undefined) {
      if (sameId(known.id, contact.id)) return "known";
      // Somebody else lives there now: it answered, and the old one cannot have.
      this.remove(known);
    }
    const namesake = this.#tree.get(contact.id);
    if (namesake !== null) {
      if (namesake.peer.failures === 0) return "refused";
      this.remove(namesake);
    }
    const depth = commonPrefix(this.#own, contact.id);
    const bucket = this.#bucket(depth);
    if (!this.#diverse(contact, bucket)) return "refused";
    if (bucket.contacts.size < this.capacity(depth)) {
      this.#insert(contact, bucket);
      return "added";
    }
    const weakest = this.#weakest(depth, contact);
    if (weakest === undefined) {
      keepSpare(bucket, contact);
      return "spare";
    }
    this.remove(weakest);
    this.#insert(contact, bucket);
    return "replaced";
  }

  remove(contact: Contact): void {
    if (this.#byEndpoint.get(contact.endpoint.text) !== contact) return;
    this.#byEndpoint.delete(contact.endpoint.text);
    this.#tree.remove(contact.id);
    const bucket = this.#bucket(commonPrefix(this.#own, contact.id));
    bucket.contacts.delete(contact);
    const subnet = subnetOfGlobal(contact);
    if (subnet === undefined) return;
    change(bucket.subnets, subnet, -1);
    change(this.#subnets, subnet, -1);
  }

  /** A spare of the same bucket, which thereby is none any more; to be asked before it is added. */
  takeSpare(removed: Contact): Contact | undefined {
    return this.#bucket(commonPrefix(this.#own, removed.id)).spares.pop();
  }

  noteLookup(target: NodeId, nowMs: number): void {
    const depth = commonPrefix(this.#own, target);
    if (depth < idBits) this.#bucket(depth).lookedUpAtMs = nowMs;
  }

  /** Depths of buckets, down to the deepest that has a contact, not looked up since `beforeMs`. */
  staleBuckets(beforeMs: number): number[] {
    let deepest = this.#buckets.length - 1;
    while (deepest >= 0 && (this.#buckets[deepest]?.contacts.size ?? 0) === 0) deepest--;
    const stale: number[] = [];
    for (let depth = 0; depth <= deepest; depth++) {
      if ((this.#buckets[depth]?.lookedUpAtMs ?? -Infinity) < beforeMs) stale.push(depth);
    }
    return stale;
  }

  /** Contacts in each bucket, from the root down. */
  shape(): readonly number[] {
    return Array.from(this.#buckets, (bucket) => bucket?.contacts.size ?? 0);
  }

  capacity(depth: number): number {
    const { bucketSizes } = this.#settings;
    return bucketSizes[Math.min(depth, bucketSizes.length - 1)] ?? dhtLimits.k;
  }

  /** Whether there would be room for such a contact, or somebody to give way to it. */
  wants(id: NodeId): boolean {
    const depth = commonPrefix(this.#own, id);
    const bucket = this.#buckets[depth];
    if (bucket === undefined || bucket.contacts.size < this.capacity(depth)) return depth < idBits;
    return bucket.spares.length < dhtLimits.sparesPerBucket;
  }

  /** Adds the nearest of these buckets behind what is there already, until there are `count`. */
  #select(found: Contact[], { target, count, from, to }: Selection): void {
    const first = found.length;
    for (let depth = from; depth <= to; depth++) {
      for (const contact of this.#buckets[depth]?.contacts ?? []) {
        let place = found.length;
        while (place > first && isNearer(target, contact, found[place - 1])) place--;
        if (place >= count) continue;
        found.splice(place, 0, contact);
        if (found.length > count) found.pop();
      }
    }
  }

  #bucket(depth: number): Bucket {
    const there = this.#buckets[depth];
    if (there !== undefined) return there;
    const made: Bucket = {
      ...{ contacts: new Set<Contact>(), subnets: new Map<string, number>() },
      ...{ spares: [], lookedUpAtMs: -Infinity },
    };
    this.#buckets[depth] = made;
    return made;
  }

  #insert(contact: Contact, bucket: Bucket): void {
    bucket.contacts.add(contact);
    this.#tree.add(contact);
    this.#byEndpoint.set(contact.endpoint.text, contact);
    const subnet = subnetOfGlobal(contact);
    if (subnet === undefined) return;
    change(bucket.subnets, subnet, 1);
    change(this.#subnets, subnet, 1);
  }

  #diverse(contact: Contact, bucket: Bucket): boolean {
    const subnet = subnetOfGlobal(contact);
    return (
      subnet === undefined ||
      ((bucket.subnets.get(subnet) ?? 0) < dhtLimits.subnetPerBucket &&
        (this.#subnets.get(subnet) ?? 0) < dhtLimits.subnetPerTable)
    );
  }

  /** Who of a full bucket gives way: the one that failed most, else the far slower one. */
  #weakest(depth: number, newcomer: Contact): Contact | undefined {
    let failing: Contact | undefined;
    let slowest: Contact | undefined;
    for (const contact of this.#bucket(depth).contacts) {
      if (contact.peer.failures > (failing?.peer.failures ?? 0)) failing = contact;
      if (rtt(contact) > (slowest === undefined ? 0 : rtt(slowest))) slowest = contact;
    }
    if (failing !== undefined) return failing;
    const forSpeed = this.#settings.rttBias && depth < this.#settings.bucketSizes.length - 1;
    if (!forSpeed || slowest === undefined) return undefined;
    return rtt(newcomer) < rtt(slowest) / 2 ? slowest : undefined;
  }
}

function isNearer(target: NodeId, contact: Contact, than: Contact | undefined): boolean {
  return than !== undefined && compareDistance(target, contact.id, than.id) < 0;
}

function rtt({ peer }: Contact): number {
  return peer.srttMs ?? Infinity;
}

function keepSpare(bucket: Bucket, contact: Contact): void {
  const text = idText(contact.id);
  bucket.spares = bucket.spares.filter((spare) => idText(spare.id) !== text);
  bucket.spares.push(contact);
  if (bucket.spares.length > dhtLimits.sparesPerBucket) bucket.spares.shift();
}

function subnetOfGlobal({ endpoint, peer }: Contact): string | undefined {
  return peer.scope === "global" ? subnetOf(endpoint.address) : undefined;
}

function change(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
