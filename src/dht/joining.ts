/**
 * How a node finds its network, and finds it again: remembered contacts first, in batches; then
 * whoever the local network announced; then the configured hosts. Once anybody answers, a lookup of
 * our own id makes us known to our neighbours, and the buckets are filled. Tries for ever, with
 * growing pauses and jitter; there is no host that everybody needs.
 */
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import { parseEndpoint } from "../base/endpoint.ts";
import type { Endpoint } from "../base/endpoint.ts";
import { idFromText, idText } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Random } from "../base/ports.ts";
import { minute } from "../base/units.ts";
import type { Keeper } from "./keeper.ts";
import type { PeerBook } from "./peer-book.ts";
import type { Bootstrap, DhtRecords } from "./ports.ts";
import type { RoutingTable } from "./routing-table.ts";
import type { Rpc } from "./rpc.ts";
import type { Asker, Contact } from "./types.ts";

export interface JoiningComponents {
  readonly own: NodeId;
  readonly asker: Asker;
  readonly rpc: Rpc;
  readonly table: RoutingTable;
  readonly keeper: Keeper;
  readonly book: PeerBook;
  readonly records: DhtRecords;
  /** Key under which contacts are remembered: one for each address family. */
  readonly recordKey: string;
  readonly bootstrap: Bootstrap;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
}

export type JoinState = "alone" | "joining" | "joined";

export class Joining {
  readonly #with: JoiningComponents;
  #state: JoinState = "alone";
  #tries = 0;
  #stopTimer: (() => void) | undefined;
  #running = false;
  #remembered: readonly Contact[];
  #savedAtMs = 0;
  #lookedAtMs: number;

  constructor(components: JoiningComponents) {
    this.#with = components;
    this.#remembered = this.#load();
    this.#lookedAtMs = components.clock.monotonicMs();
  }

  get state(): JoinState {
    return this.#state;
  }

  start(): void {
    this.#running = true;
    this.#try();
  }

  stop(): void {
    this.#running = false;
    this.#stopTimer?.();
    this.#save();
  }

  /** Somebody who may be a node: heard of on the local network, or named by an administrator. */
  found(endpoint: Endpoint): void {
    if (!this.#running) return;
    const { table, rpc, counters } = this.#with;
    if (table.at(endpoint.text) !== undefined) return;
    counters.add("dht.join.found");
    rpc.greet(endpoint, () => undefined);
  }

  /** Somebody has answered: whoever knows nobody else has its network now. */
  met(): void {
    if (this.#state === "alone" && this.#running) this.#enter();
  }

  /** Our address has changed, or we slept: everybody is asked anew. */
  rejoin(): void {
    this.#with.counters.add("dht.join.again");
    this.#remembered = [...this.#with.table.contacts()];
    this.#state = "alone";
    this.#tries = 0;
    this.#try();
  }

  #try(): void {
    this.#stopTimer?.();
    const { table, counters } = this.#with;
    if (!this.#running) return;
    // Contacts that all fail are kept, since it may be our own network that is gone; or it is theirs.
    const failing = ({ peer }: Contact): boolean => peer.failures > 0;
    if (this.#state !== "joining" && [...table.contacts()].every(failing)) this.#state = "alone";
    if (this.#state === "alone") {
      counters.add("dht.join.tries");
      this.#probe();
      void this.#askHosts();
      this.#tries++;
    }
    this.#watch();
  }

  /** Looks again later: sooner while alone, to save and to notice a sleep afterwards. */
  #watch(): void {
    const { clock, random } = this.#with;
    const alone = this.#state === "alone";
    const growing = dhtLimits.joinRetryMs * 2 ** Math.min(this.#tries - 1, 20);
    const pauseMs = alone ? Math.min(growing, dhtLimits.longestJoinRetryMs) : minute;
    this.#lookedAtMs = clock.monotonicMs();
    const wallMs = clock.wallMs();
    this.#stopTimer = clock.after(pauseMs * (0.75 + 0.5 * random.next()), () => {
      const sleptMs = clock.wallMs() - wallMs - (clock.monotonicMs() - this.#lookedAtMs);
      const lateMs = clock.monotonicMs() - this.#lookedAtMs - 1.25 * pauseMs;
      if (this.#state === "joined" && Math.max(sleptMs, lateMs) > 2 * minute) {
        this.rejoin();
        return;
      }
      if (clock.monotonicMs() - this.#savedAtMs > dhtLimits.saveContactsMs) this.#save();
      this.#try();
    });
  }

  /** The next batch of remembered contacts. */
  #probe(): void {
    const { joinProbes } = dhtLimits;
    const batches = Math.max(1, Math.ceil(this.#remembered.length / joinProbes));
    const first = (this.#tries % batches) * joinProbes;
    for (const contact of this.#remembered.slice(first, first + joinProbes)) {
      this.#with.asker.ask(contact, { method: "ping" }, () => undefined);
    }
  }

  async #askHosts(): Promise<void> {
    for (const endpoint of await this.#with.bootstrap.endpoints()) this.found(endpoint);
  }

  /** Somebody has answered: meets the neighbours, then everybody else. */
  #enter(): void {
    const { asker, own, table, keeper, counters } = this.#with;
    this.#state = "joining";
    asker.findClosest(own, dhtLimits.k, (closest) => {
      if (!this.#running) return;
      if (closest.length === 0 && table.size === 0) {
        this.#state = "alone";
        return;
      }
      this.#state = "joined";
      this.#tries = 0;
      counters.add("dht.join.done");
      for (const depth of table.staleBuckets(Infinity)) keeper.refreshBucket(depth);
      this.#save();
    });
  }

  #load(): readonly Contact[] {
    const { records, recordKey, book } = this.#with;
    for (const [, text] of records.initial(recordKey)) {
      return text
        .split(" ")
        .slice(0, dhtLimits.rememberedContacts)
        .flatMap((entry) => {
          const id = idFromText(entry.slice(0, 40));
          const endpoint = parseEndpoint(entry.slice(41));
          if (id === undefined || endpoint === undefined) return [];
          return [{ id, endpoint, peer: book.peer(endpoint) }];
        });
    }
    return [];
  }

  /** The oldest contacts, which will live longest. An empty table does not wipe what was remembered. */
  #save(): void {
    const { table, records, recordKey, clock } = this.#with;
    this.#savedAtMs = clock.monotonicMs();
    if (table.size === 0) return;
    const oldest = [...table.contacts()]
      .filter(({ peer }) => peer.failures === 0)
      .sort((a, b) => a.peer.provenAtMs - b.peer.provenAtMs);
    // A young table is small: what was remembered before fills the rest.
    const now = new Set(oldest.map(({ endpoint }) => endpoint.text));
    const earlier = this.#remembered.filter(({ endpoint }) => !now.has(endpoint.text));
    this.#remembered = [...oldest, ...earlier].slice(0, dhtLimits.rememberedContacts);
    records.put(
      recordKey,
      this.#remembered.map(({ id, endpoint }) => `${idText(id)}@${endpoint.text}`).join(" "),
    );
  }
}
