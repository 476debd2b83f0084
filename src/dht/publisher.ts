/**
 * Publishing: keeps the values of thousands of keys on the k live nodes closest to each.
 *
 * 2008 made one lookup and six stores a key, again and again. Here keys are sorted, and one lookup
 * serves all keys of a block of the id space (`publish-view.ts`, `publish-sweep.ts`); a holder gets
 * many keys in one datagram, and what it has is kept alive by one small query an hour
 * (`publish-sender.ts`), which carries number and digest of its entries.
 *
 * - A holder keeps a key while it is among the k closest or one of the few spare ones next to them;
 *   any other is told to forget it. A holder that fails or refuses is replaced by the next closest.
 * - A key that has lost too many holders is placed again at once, any other by the next sweep.
 * - After a restart known holders are renewed, not filled again, as far as values are the same.
 */
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import type { Family } from "../base/endpoint.ts";
import { compareDistance, randomNodeId, sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Hashes, Random } from "../base/ports.ts";
import { minute, second } from "../base/units.ts";
import type { NodeInfo, ValueBytes } from "../krpc/message.ts";
import type { DhtRecords } from "./ports.ts";
import { Holders } from "./publish-holders.ts";
import type { Holder } from "./publish-holders.ts";
import { holdersPerKey, publishLimits } from "./publish-limits.ts";
import { PublishRecords } from "./publish-records.ts";
import { HolderSender } from "./publish-sender.ts";
import { crowdedRegion } from "./publish-region.ts";
import { Sweep } from "./publish-sweep.ts";
import { PublishTable } from "./publish-table.ts";
import type { NetworkView } from "./publish-view.ts";
import type { Asker, Contact } from "./types.ts";
import { entryDigest, sameDigest } from "./value-digest.ts";

export interface PublisherComponents {
  readonly asker: Asker;
  /** What the node knows of an address that was remembered. */
  readonly contactOf: (info: NodeInfo) => Contact;
  readonly clock: Clock;
  readonly random: Random;
  readonly hashes: Hashes;
  readonly counters: Counters;
  readonly records: DhtRecords;
  readonly ownId: NodeId;
  /** Nodes in the network, roughly; without it its growth goes unnoticed. */
  readonly networkSize?: () => number | undefined;
  /** The same, as measured by several lookups; without it crowds around a key go unnoticed. */
  readonly measuredSize?: () => number | undefined;
}

export interface PublisherSettings {
  /** Where those who want the files can connect. */
  readonly tcpPort: number;
  /** Publishers of different families keep different records. */
  readonly family: Family;
  readonly renewMs?: number;
  readonly sweepMs?: number;
  /** Live nodes that one lookup asks for, at least `dhtLimits.k`. */
  readonly width?: number;
}

export interface PublisherStatus {
  /** Keys published, and of them those that somebody holds. */
  readonly keys: number;
  readonly placed: number;
  /** Nodes that hold or are to hold something. */
  readonly holders: number;
  /** Pairs of key and holder that are to be stored. */
  readonly pendingStores: number;
  /** Keys that wait for a lookup. */
  readonly pendingLookups: number;
  /** Nobody answers. */
  readonly offline: boolean;
  /** How long the last complete sweep took; undefined before its end. */
  readonly lastSweepMs: number | undefined;
}

interface RecentView {
  readonly view: NetworkView;
  readonly atMs: number;
}

export class Publisher {
  readonly #with: PublisherComponents;
  readonly #renewMs: number;
  readonly #table = new PublishTable();
  readonly #holders: Holders;
  readonly #sender: HolderSender;
  readonly #sweep: Sweep;
  readonly #records: PublishRecords;
  /** Behind the order in which a crowded region's nodes are chosen. */
  readonly #salt: NodeId;
  /** Slots whose records are to be written. */
  readonly #unsaved = new Set<number>();
  #savedAtMs = 0;
  /** Size of the network for which the keys were last placed, and when that was. */
  #placedSize = Infinity;
  #grownAtMs = -Infinity;
  #recent: RecentView[] = [];
  /** When keys that nobody has published since the restart are given up. */
  #unclaimedAtMs = Infinity;
  #stopTick: () => void = () => undefined;

  /** Takes up what an earlier run has recorded. Throws a RangeError for settings out of range. */
  constructor(components: PublisherComponents, settings: PublisherSettings) {
    const { tcpPort, family } = settings;
    const { renewMs = dhtLimits.renewMs, sweepMs = dhtLimits.sweepMs } = settings;
    const { width = publishLimits.width } = settings;
    const { k } = dhtLimits;
    if (width < k || width > dhtLimits.mostNodes) throw new RangeError(`width ${width}`);
    this.#with = components;
    this.#salt = randomNodeId(components.random);
    this.#renewMs = renewMs;
    const table = this.#table;
    this.#holders = new Holders(table, components.clock);
    this.#records = new PublishRecords(components.records, family);
    this.#sender = new HolderSender(
      { ...components, table, holders: this.#holders },
      { tcpPort, renewMs },
      {
        changed: (holder, slots) => this.#changed(holder, slots),
        refused: (slots) => this.#replace(slots),
        dropped: (holder, slots) => this.#dropped(holder, slots),
        offline: () => this.#sweep.probe(),
      },
    );
    this.#sweep = new Sweep(
      { ...components, table },
      { k, width, sweepMs },
      {
        found: (view, done) => this.#found(view, done),
        heard: () => this.#sender.heard(),
        knownNodes: () => this.#holders.size,
      },
    );
    this.#load();
  }

  start(): void {
    const { clock, random } = this.#with;
    const nowMs = clock.monotonicMs();
    this.#placedSize = this.#with.networkSize?.() ?? 1;
    this.#grownAtMs = nowMs;
    this.#unclaimedAtMs = nowMs + publishLimits.unclaimedMs;
    this.#savedAtMs = nowMs;
    this.#sender.start();
    this.#sweep.start();
    this.#tickAfter(random.next() * publishLimits.tickMs);
  }

  /** Writes what is to be remembered. Nothing is sent any more; holders keep what they have. */
  stop(): void {
    this.#stopTick();
    this.#sender.stop();
    this.#sweep.stop();
    this.#save();
  }

  /**
   * Publishes a key or changes its value: 1 to `dhtLimits.valueBytes` bytes, which are kept, not
   * copied, as is the key. Stored within seconds; nothing happens if the value is the same. False:
   * too many keys. Throws a RangeError for a value of another size.
   */
  publish(key: NodeId, value: ValueBytes): boolean {
    if (value.length < 1 || value.length > dhtLimits.valueBytes) {
      throw new RangeError(`a value has 1 to ${dhtLimits.valueBytes} bytes, not ${value.length}`);
    }
    const { hashes, counters } = this.#with;
    const digest = entryDigest(hashes, key, value);
    const slot = this.#table.find(key);
    if (slot !== undefined) {
      this.#publishAgain(slot, value, digest);
      return true;
    }
    if (this.#table.size >= dhtLimits.publishedKeys) {
      counters.add("dht.publish.tooMany");
      return false;
    }
    counters.add("dht.publish.keys");
    this.#sweep.urge(this.#table.add(key, value, digest));
    return true;
  }

  /** Publishes a key no more; its holders are told. */
  withdraw(key: NodeId): void {
    const slot = this.#table.find(key);
    if (slot === undefined) return;
    for (const holder of this.#holdersOf(slot)) {
      this.#holders.withdraw(slot, holder);
      this.#sender.wake(holder);
    }
    this.#unsaved.delete(slot);
    this.#records.removeKey(key);
    this.#table.remove(slot);
  }

  /** The network has been joined: keys that wait for it need not wait any longer. */
  joined(): void {
    this.#sweep.hurry();
  }

  /** Our address has changed: for the holders we are somebody else, and all must be stored again. */
  moved(): void {
    this.#sweep.hurry();
    for (const holder of this.#holders.all()) this.#renewWithin(holder, 2 * minute);
  }

  /** The nodes that hold this key's present value, as they have confirmed. */
  holdersOf(key: NodeId): readonly Contact[] {
    const slot = this.#table.find(key);
    if (slot === undefined) return [];
    return this.#holdersOf(slot)
      .filter(({ index }) => this.#table.isHeld(slot, index))
      .map(({ contact }) => contact);
  }

  status(): PublisherStatus {
    const table = this.#table;
    let placed = 0;
    for (const slot of table.slots()) if (table.isHeldAnywhere(slot)) placed++;
    return {
      ...{ keys: table.size, placed, holders: this.#holders.size },
      ...{ pendingStores: table.pendingCount, pendingLookups: table.urgentCount },
      ...{ offline: this.#sender.offline, lastSweepMs: this.#sweep.lastRoundMs },
    };
  }

  #publishAgain(slot: number, value: ValueBytes, digest: Uint8Array): void {
    const table = this.#table;
    const claimed = table.value(slot) !== undefined;
    if (sameDigest(table.digest(slot), digest)) {
      if (claimed) return;
      this.#with.counters.add("dht.publish.takenUp");
      table.setValue(slot, value, digest);
    } else {
      const holders = this.#holdersOf(slot);
      for (const holder of holders) this.#holders.storeAgain(slot, holder);
      table.setValue(slot, value, digest);
      for (const holder of holders) this.#sender.wake(holder);
      this.#unsaved.add(slot);
    }
    if (table.holderCount(slot) < publishLimits.repairBelow) this.#sweep.urge(slot);
  }

  #holdersOf(slot: number): Holder[] {
    return this.#table
      .holders(slot)
      .map((index) => this.#holders.at(index))
      .filter((holder) => holder !== undefined);
  }

  /** A lookup has ended: places all keys that its result covers, some at a time. */
  #found(view: NetworkView, done: (covered: ReadonlySet<number>) => void): void {
    const { clock } = this.#with;
    this.#recent.unshift({ view, atMs: clock.monotonicMs() });
    this.#recent.length = Math.min(this.#recent.length, publishLimits.recentViews);
    this.#checkHolders(view);
    const table = this.#table;
    const slots = view.complete ? [...table.slots()] : table.sharing(view.target, view.sharedBits);
    const covered = new Set<number>();
    const placeSome = (from: number): void => {
      const to = Math.min(slots.length, from + publishLimits.keysPerTurn);
      for (const slot of slots.slice(from, to)) if (this.#place(slot, view)) covered.add(slot);
      if (to === slots.length) done(covered);
      else clock.after(0, () => placeSome(to));
    };
    placeSome(0);
  }

  /** Holders that the lookup should have found are asked soon whether they live. */
  #checkHolders(view: NetworkView): void {
    const present = new Set(view.contacts.map(({ endpoint }) => endpoint.text));
    for (const holder of this.#holders.all()) {
      const { id, endpoint } = holder.contact;
      if (!present.has(endpoint.text) && view.knows(id)) this.#renewWithin(holder, 30 * second);
    }
    for (const { id, endpoint } of view.contacts) {
      const holder = this.#holders.find(endpoint);
      // Another node lives there now, and has nothing of what the former one had.
      if (holder !== undefined && !sameId(holder.contact.id, id)) this.#sender.drop(holder, 0);
    }
  }

  #renewWithin(holder: Holder, ms: number): void {
    const { clock, random } = this.#with;
    const dueMs = clock.monotonicMs() + random.next() * ms;
    holder.renewAtMs = Math.min(holder.renewAtMs, dueMs);
  }

  /**
   * Chooses a key's holders from what a lookup has found; false if it does not cover the key.
   * The one function that decides who holds what.
   */
  #place(slot: number, view: NetworkView): boolean {
    const table = this.#table;
    const key = table.key(slot);
    const sorted = key === undefined ? undefined : view.closestTo(key);
    if (key === undefined || sorted === undefined) return false;
    // Nobody has supplied the value since the restart.
    if (table.value(slot) === undefined) return true;
    const wanted = this.#choose(slot, key, sorted);
    const others = this.#holdersOf(slot)
      .filter((holder) => !wanted.has(holder))
      .sort((a, b) => compareDistance(key, a.contact.id, b.contact.id));
    for (const holder of others.slice(publishLimits.spareHolders)) {
      this.#with.counters.add("dht.publish.released");
      this.#holders.withdraw(slot, holder);
      this.#sender.wake(holder);
      this.#unsaved.add(slot);
    }
    for (const holder of wanted) {
      if (table.has(slot, holder.index)) continue;
      if (this.#holders.assign(slot, holder)) this.#sender.wake(holder);
    }
    return true;
  }

  /** The k closest nodes that hold the key or would take it; some of the region if it is crowded. */
  #choose(slot: number, key: NodeId, sorted: readonly Contact[]): Set<Holder> {
    const wanted = new Set<Holder>();
    const { hashes, counters, measuredSize } = this.#with;
    const parts = { hashes, salt: this.#salt, size: measuredSize?.() };
    const region = crowdedRegion(parts, key, sorted);
    if (region !== undefined) counters.add("dht.publish.crowded");
    const most = region === undefined ? dhtLimits.k : holdersPerKey;
    for (const contact of region ?? sorted) {
      if (wanted.size === most) break;
      if (sameId(contact.id, this.#with.ownId)) continue;
      const holder = this.#holders.obtain(contact);
      if (holder === undefined) continue;
      const has = this.#table.has(slot, holder.index);
      if (has || this.#holders.eligible(slot, holder)) wanted.add(holder);
    }
    return wanted;
  }

  #changed(holder: Holder, slots: readonly number[]): void {
    for (const slot of slots) this.#unsaved.add(slot);
    if (holder.count > 0) this.#saveHolder(holder);
  }

  #dropped(holder: Holder, slots: readonly number[]): void {
    this.#records.removeHolder(holder.index);
    for (const { view } of this.#recent) view.remove(holder.contact);
    this.#replace(slots);
  }

  /** These keys have lost a holder: another one is chosen if we know whom, else if it is urgent. */
  #replace(slots: readonly number[]): void {
    const table = this.#table;
    this.#forgetViews();
    for (const slot of slots) {
      if (table.key(slot) === undefined) continue;
      this.#unsaved.add(slot);
      if (this.#recent.some(({ view }) => this.#place(slot, view))) continue;
      const few = table.holderCount(slot) < publishLimits.repairBelow;
      if (few && table.value(slot) !== undefined) this.#sweep.urge(slot);
    }
  }

  #forgetViews(): void {
    const oldestMs = this.#with.clock.monotonicMs() - publishLimits.recentViewMs;
    this.#recent = this.#recent.filter(({ atMs }) => atMs >= oldestMs);
  }

  #tickAfter(delayMs: number): void {
    this.#stopTick = this.#with.clock.after(delayMs, () => {
      this.#tick();
      this.#tickAfter(publishLimits.tickMs);
    });
  }

  #tick(): void {
    const nowMs = this.#with.clock.monotonicMs();
    this.#sender.wakeDue();
    this.#forgetViews();
    if (nowMs >= this.#unclaimedAtMs) {
      this.#unclaimedAtMs = Infinity;
      this.#withdrawUnclaimed();
    }
    this.#noteGrowth(nowMs);
    for (const holder of [...this.#holders.all()]) {
      if (!this.#holders.idle(holder)) continue;
      this.#holders.forget(holder);
      this.#records.removeHolder(holder.index);
    }
    if (nowMs - this.#savedAtMs >= publishLimits.recordsMs) this.#save();
  }

  /**
   * Where a node has just come to know many more others, its keys lie with whom it knew before, far
   * from where anybody looks: they are placed again.
   */
  #noteGrowth(nowMs: number): void {
    const size = this.#with.networkSize?.();
    const { growth, growthPauseMs } = publishLimits;
    if (size === undefined || nowMs - this.#grownAtMs < growthPauseMs) return;
    const grown = size > growth * this.#placedSize;
    if (!grown) return;
    this.#grownAtMs = nowMs;
    this.#placedSize = size;
    this.#with.counters.add("dht.publish.grown");
    for (const slot of this.#table.slots()) this.#sweep.urge(slot);
  }

  #withdrawUnclaimed(): void {
    const table = this.#table;
    for (const slot of [...table.slots()]) {
      const key = table.key(slot);
      if (key === undefined || table.value(slot) !== undefined) continue;
      this.#with.counters.add("dht.publish.unclaimed");
      this.withdraw(key);
    }
  }

  #load(): void {
    const { clock, counters, contactOf } = this.#with;
    const wallMs = clock.wallMs();
    for (const { index, info, goodWallMs } of this.#records.holders()) {
      const expired = wallMs - goodWallMs >= dhtLimits.valueMs;
      const holder = expired ? undefined : this.#holders.restore(index, contactOf(info));
      if (holder === undefined) {
        this.#records.removeHolder(index);
        continue;
      }
      holder.goodWallMs = Math.min(goodWallMs, wallMs);
      this.#renewAsBefore(holder);
    }
    for (const { key, digest, holders } of this.#records.keys()) {
      if (this.#table.size >= dhtLimits.publishedKeys) {
        this.#records.removeKey(key);
        continue;
      }
      const slot = this.#table.add(key, undefined, digest);
      for (const index of new Set(holders)) {
        const holder = this.#holders.at(index);
        if (holder !== undefined) this.#holders.takeUp(slot, holder);
      }
      counters.add("dht.publish.loaded");
    }
  }

  /** Renewals go on as if there had been no restart, but not before values have been supplied. */
  #renewAsBefore(holder: Holder): void {
    const { clock, random } = this.#with;
    const dueMs = holder.goodWallMs + this.#renewMs - clock.wallMs();
    const leastMs = minute + random.next() * 5 * minute;
    holder.renewAtMs = clock.monotonicMs() + Math.max(leastMs, dueMs);
  }

  #save(): void {
    this.#savedAtMs = this.#with.clock.monotonicMs();
    const table = this.#table;
    for (const slot of this.#unsaved) {
      const key = table.key(slot);
      if (key === undefined) continue;
      const holders = table.holders(slot).filter((index) => table.isHeld(slot, index));
      this.#records.putKey({ key, digest: table.digest(slot), holders });
    }
    this.#unsaved.clear();
  }

  #saveHolder({ index, contact, goodWallMs }: Holder): void {
    this.#records.putHolder({ index, info: contact, goodWallMs });
  }
}
