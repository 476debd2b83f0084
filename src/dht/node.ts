/**
 * One node of the DHT for one address family: messages and timers in, messages out. It puts together
 * the parts of this room and decides nothing that they do not. The daemon runs one for IPv4 and one
 * for IPv6; the laboratory runs thousands.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import { scopeOf } from "../base/endpoint.ts";
import type { Endpoint, Family } from "../base/endpoint.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Hashes, Random } from "../base/ports.ts";
import type {
  AnswerMessage,
  HeldValue,
  Message,
  NodeInfo,
  Query,
  QueryMessage,
} from "../krpc/message.ts";
import type { MessagePort } from "../krpc/ports.ts";
import { Transactions } from "../krpc/transactions.ts";
import type { Outcome } from "../krpc/transactions.ts";
import { Answering, mayKnow } from "./answering.ts";
import { DialBacks } from "./dial-backs.ts";
import { distanceShare } from "./distance-share.ts";
import { Joining } from "./joining.ts";
import { Keeper } from "./keeper.ts";
import { LookupQueue } from "./lookup-queue.ts";
import { Lookup } from "./lookup.ts";
import type { LookupEvents, LookupPort, LookupResult, LookupTask } from "./lookup.ts";
import { OutsideAddress } from "./outside-address.ts";
import { PeerBook } from "./peer-book.ts";
import type { Peer } from "./peer-book.ts";
import { defaultPolicy, defaultTable, patientPolicy, suspicionMs } from "./policy.ts";
import type { LookupPolicy } from "./policy.ts";
import type { Bootstrap, DhtRecords, DialBack } from "./ports.ts";
import { QueryGuard } from "./query-guard.ts";
import { Reachability } from "./reachability.ts";
import { RoutingTable } from "./routing-table.ts";
import { Rpc } from "./rpc.ts";
import { SizeEstimate } from "./size-estimate.ts";
import { Tokens } from "./tokens.ts";
import type { Asker, Contact } from "./types.ts";
import { ValueStore } from "./value-store.ts";

export interface DhtComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly hashes: Hashes;
  /** 20 bytes that nobody can guess. */
  readonly secret: () => Uint8Array;
  readonly port: MessagePort;
  readonly dialBack: DialBack;
  readonly records: DhtRecords;
  readonly bootstrap: Bootstrap;
  readonly counters: Counters;
}

export interface DhtSettings {
  readonly id: NodeId;
  readonly family: Family;
  /** Program, version and network: `AP0.1.0`; who says something else after a slash is no node of ours. */
  readonly version: string;
  readonly policy?: LookupPolicy;
  readonly table?: RoutingTable;
}

export interface LookupHandle {
  readonly cancel: () => void;
}

/** Told when the node learns something that others must act on. */
export interface DhtListener {
  /** Our address as the others see it has changed: what we published names the old one. */
  readonly moved?: (address: string) => void;
}

export class DhtNode implements Asker {
  readonly id: NodeId;
  readonly table: RoutingTable;
  readonly store: ValueStore;
  readonly book = new PeerBook();
  readonly keeper: Keeper;
  readonly joining: Joining;
  readonly size = new SizeEstimate();
  readonly outside = new OutsideAddress();
  readonly reachability = new Reachability();
  readonly rpc: Rpc;
  readonly #components: DhtComponents;
  readonly #settings: DhtSettings;
  readonly #listener: DhtListener;
  readonly #transactions: Transactions;
  readonly #answering: Answering;
  readonly #guard = new QueryGuard();
  /** When we last sent anything to an address. */
  readonly #sentAtMs = new BoundedMap<string, number>(dhtLimits.knownPeers);
  /** Those under way, and how each is cancelled. */
  readonly #queue: LookupQueue;
  readonly #lookupPort: LookupPort;
  #stopExpiry: () => void = () => undefined;
  #stopped = false;
  #startedAtMs = 0;

  constructor(components: DhtComponents, settings: DhtSettings, listener: DhtListener = {}) {
    const { clock, hashes, secret, records, counters, random } = components;
    this.#components = components;
    const port = this.#noting(components.port);
    this.#settings = settings;
    this.#listener = listener;
    const { id, version, family } = settings;
    this.id = id;
    this.table = settings.table ?? new RoutingTable(id, defaultTable);
    this.#transactions = new Transactions({ ...components, port });
    const { book, table } = this;
    this.#queue = new LookupQueue(clock, () => table.size);
    this.rpc = new Rpc(
      { clock, transactions: this.#transactions, book, counters },
      { id, version, readOnly: () => this.reachability.readOnly(clock.monotonicMs()) },
      {
        answered: (contact, message, silentMs) => this.#answered(contact, message, silentMs),
        failed: (contact) => this.keeper.failed(contact),
        gone: (contact) => this.keeper.gone(contact),
        suspected: (contact) => this.keeper.suspected(contact),
      },
    );
    this.keeper = new Keeper({
      ...{ table, asker: this, clock, random, counters, own: id },
      meet: (target, done) => {
        this.#run(
          { target, kind: "nodes", policy: defaultPolicy },
          {
            done: ({ closest }) => {
              this.#noteSize(target, closest);
              done();
            },
          },
        );
      },
    });
    this.store = new ValueStore({
      ...{ ownId: id, family, hashes, clock, records, counters, secret: secret() },
    });
    this.joining = new Joining({
      ...{ own: id, asker: this, rpc: this.rpc, table, keeper: this.keeper, book },
      ...{ records, recordKey: `dht!contacts!${family}`, bootstrap: components.bootstrap },
      ...{ clock, random, counters },
    });
    this.#answering = new Answering({
      ...{ id, version, clock, port, counters, store: this.store },
      tokens: new Tokens({ hashes, secret }),
      dialBacks: new DialBacks({ clock, dialBack: components.dialBack, counters }),
      closest: (target, count) => this.keeper.closest(target, count),
    });
    this.#lookupPort = {
      own: id,
      query: (to, query, schedule, handlers) => this.rpc.query(to, query, schedule, handlers),
      contact: (info, teller) => this.#named(info, teller),
      networkSize: () => this.networkSize(),
      measuredSize: () => this.measuredSize(),
      silence: () => this.rpc.silence,
      suspected: ({ peer }) => peer.suspect && clock.monotonicMs() - peer.sentAtMs < suspicionMs,
    };
  }

  start(): void {
    this.#startedAtMs = this.#components.clock.monotonicMs();
    this.keeper.start();
    this.joining.start();
    this.#expire();
  }

  stop(): void {
    this.keeper.stop();
    this.joining.stop();
    this.#stopExpiry();
    this.#stopped = true;
    this.#queue.stop();
    this.#transactions.close();
  }

  /** A datagram of so many bytes has come and been decoded. */
  receive(from: Endpoint, message: Message, bytes: number): void {
    const { counters } = this.#components;
    if (networkOf(message.version) !== networkOf(this.#settings.version)) {
      counters.add("dht.heard.otherNetwork");
      return;
    }
    if (message.kind === "query") this.#receiveQuery(from, message, bytes);
    else if (!this.#transactions.receive(from, message)) counters.add("dht.heard.unasked");
  }

  /** A datagram that is a query, but not a right one. */
  receiveWrong(from: Endpoint, error: Parameters<Answering["refuse"]>[1], bytes: number): void {
    if (!this.#guard.allow(from.address, this.#components.clock.monotonicMs())) return;
    this.#components.counters.add("dht.heard.wrong");
    this.#answering.refuse(from, error, bytes);
  }

  /** Values as they come, then the end; what this node holds itself comes first. */
  lookup(key: NodeId, events: LookupEvents): LookupHandle {
    const policy = this.#settings.policy ?? defaultPolicy;
    const all = { key, asker: "", from: 0, count: dhtLimits.valuesPerKey };
    const own = this.store.page(all).values;
    const { counters } = this.#components;
    counters.add("dht.lookup.started");
    return this.#run({ target: key, kind: "values", policy }, events, own);
  }

  findClosest(target: NodeId, width: number, done: (closest: readonly Contact[]) => void): void {
    const task: LookupTask = { target, kind: "nodes", policy: patientPolicy, width };
    this.#run(task, {
      done: ({ closest }) => {
        this.#noteSize(target, closest);
        done(closest);
      },
    });
  }

  #noteSize(target: NodeId, closest: readonly Contact[]): void {
    this.size.note(
      target,
      closest.map(({ id }) => id),
    );
    this.store.setNetworkSize(this.networkSize());
  }

  ask(to: Contact, query: Query, done: (outcome: Outcome) => void): void {
    this.rpc.ask(to, query, done);
  }

  /** Runs a lookup of any kind and policy: for the laboratory, the parts of this room, and walks. */
  run(task: LookupTask, events: LookupEvents): LookupHandle {
    return this.#run(task, events);
  }

  /** Roughly: by the latest lookups; before there are enough, by our own neighbours. */
  networkSize(): number | undefined {
    const measured = this.size.estimate();
    if (measured !== undefined) return Math.max(measured, this.table.size);
    const neighbours = this.table.closest(this.id, dhtLimits.k);
    const last = neighbours.at(-1);
    if (last === undefined || neighbours.length < dhtLimits.k) return undefined;
    return Math.max(this.table.size, neighbours.length / distanceShare(this.id, last.id));
  }

  /**
   * By several lookups; undefined until they can be trusted: what was measured while the network grew
   * or while we knew little of it is too small. It is no smaller than our table.
   */
  measuredSize(): number | undefined {
    const ageMs = this.#components.clock.monotonicMs() - this.#startedAtMs;
    const estimate = ageMs < dhtLimits.matureMs ? undefined : this.size.estimate();
    return estimate === undefined ? undefined : Math.max(estimate, this.table.size);
  }

  get pendingLookups(): number {
    return this.#queue.size;
  }

  get pendingQueries(): number {
    return this.#transactions.size;
  }

  #run(task: LookupTask, events: LookupEvents, own: readonly HeldValue[] = []): LookupHandle {
    const { clock } = this.#components;
    let stopLimit: (() => void) | undefined;
    const ended = (result: LookupResult): void => {
      stopLimit?.();
      this.#queue.leave(turn);
      this.#components.counters.add("dht.lookup.messages", result.messages);
      events.done(result);
    };
    const lookup = new Lookup(this.#lookupPort, task, { ...events, done: ended });
    const begin = (): void => {
      this.table.noteLookup(task.target, clock.monotonicMs());
      stopLimit = clock.after(task.policy.limitMs, () => lookup.giveUp());
      lookup.start(this.#seeds(task));
    };
    // Never from inside the call: who asks has its handle before anything happens.
    const stopStart = clock.after(0, () => {
      if (this.#stopped) return;
      if (own.length > 0) {
        const self = { id: this.id, endpoint: selfEndpoint, peer: this.book.peer(selfEndpoint) };
        lookup.deliver(own, self);
      }
      // Whoever got values of our own may have enough.
      if (lookup.ended || this.#queue.enter(turn)) return;
      this.#components.counters.add("dht.lookup.refused");
      events.done({ closest: [], messages: 0 });
    });
    const cancel = (): void => {
      stopStart();
      stopLimit?.();
      lookup.cancel();
      this.#queue.leave(turn);
    };
    const turn = { begin, cancel };
    return { cancel };
  }

  /** The nearest that are known, and some more in case they are dead. */
  #seeds({ target, policy, width }: LookupTask): Contact[] {
    const count = width ?? policy.k;
    const seeds = this.table.closest(target, policy.skipSuspects ? 4 * count : count);
    return seeds.length < count ? this.keeper.closest(target, count) : seeds;
  }

  #receiveQuery(from: Endpoint, message: QueryMessage, bytes: number): void {
    const { clock, counters } = this.#components;
    const nowMs = clock.monotonicMs();
    if (!this.#guard.allow(from.address, nowMs)) {
      counters.add("dht.heard.tooMany");
      return;
    }
    const peer = this.#peer(from);
    const contact = { id: message.id, endpoint: from, peer };
    const sentAtMs = this.#sentAtMs.get(from.address) ?? -Infinity;
    this.reachability.heard({ unasked: nowMs - sentAtMs >= dhtLimits.pinholeMs, nowMs });
    const proven = this.#answering.answer(from, message, bytes);
    peer.arrivedAtMs = nowMs;
    // Anybody can send in another's name: what costs us or others something needs a token.
    if (!proven) return;
    if (message.readOnly) this.keeper.unreachable(contact);
    else this.keeper.heard(contact);
    peer.heardAtMs = nowMs;
    this.rpc.heardAnyAtMs = nowMs;
  }

  /** A NAT lets in whoever we have sent to, some of them from any port: so addresses are noted. */
  #noting(port: MessagePort): MessagePort {
    const { clock } = this.#components;
    return {
      send: (to, message) => {
        this.#sentAtMs.set(to.address, clock.monotonicMs());
        port.send(to, message);
      },
    };
  }

  /** What is known of an address; what the table knows is never forgotten. */
  #peer(endpoint: Endpoint): Peer {
    return this.table.at(endpoint.text)?.peer ?? this.book.peer(endpoint);
  }

  #answered(contact: Contact, message: AnswerMessage, silentMs: number): void {
    const nowMs = this.#components.clock.monotonicMs();
    this.reachability.asked(contact.endpoint, nowMs);
    const { seen } = message;
    if (seen !== undefined && this.outside.note(contact.endpoint, seen, nowMs) === "changed") {
      this.#components.counters.add("dht.address.changed");
      this.reachability.reset(nowMs);
      // They were given to the old address.
      for (const { peer } of this.table.contacts()) peer.token = undefined;
      this.#listener.moved?.(this.outside.current()?.address ?? seen.address);
    }
    this.keeper.answered(contact, silentMs);
    this.joining.met();
  }

  /** Somebody named by an answer: of our family, and at an address that the teller may name. */
  #named(info: NodeInfo, teller: Contact): Contact | undefined {
    const { address } = info.endpoint;
    if (address.includes(":") !== (this.#settings.family === 6)) return undefined;
    if (!mayKnow(teller.peer.scope, scopeOf(address))) return undefined;
    const peer = this.#peer(info.endpoint);
    return { id: info.id, endpoint: peer.endpoint, peer };
  }

  #expire(): void {
    const { clock } = this.#components;
    this.#stopExpiry = clock.after(dhtLimits.expiryMs, () => {
      this.store.expire(clock.monotonicMs());
      this.#expire();
    });
  }
}

/** What comes from the node itself. */
const selfEndpoint: Endpoint = { address: "0.0.0.0", port: 1, text: "self" };

/** What stands behind the slash: empty for the public network. */
function networkOf(version: string): string {
  const slash = version.indexOf("/");
  return slash === -1 ? "" : version.slice(slash);
}
