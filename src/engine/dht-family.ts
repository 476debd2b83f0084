/**
 * The DHT for one address family: a node, and a publisher that works as far as others can reach us.
 * From time to time it looks whether something has changed that the publisher must know of.
 */
import type { Counters } from "../base/counters.ts";
import type { Family } from "../base/endpoint.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Random } from "../base/ports.ts";
import { second } from "../base/units.ts";
import { mayKnow } from "../dht/answering.ts";
import type { JoinState } from "../dht/joining.ts";
import { DhtNode } from "../dht/node.ts";
import type { DhtComponents } from "../dht/node.ts";
import { Publisher } from "../dht/publisher.ts";
import type { Contact } from "../dht/types.ts";
import { Walk } from "../dht/walk.ts";
import type { WalkEvents } from "../dht/walk.ts";
import type { NodeInfo, ValueBytes } from "../krpc/message.ts";
import { AnnounceGate } from "./dht-gate.ts";
import type { Serving } from "./dht-gate.ts";
import { familyStatus, noPublisher } from "./dht-status.ts";
import type { FamilyStatus, PublishingStatus } from "./dht-status.ts";

export interface FamilySettings {
  readonly id: NodeId;
  readonly family: Family;
  readonly version: string;
  /** undefined: nobody can connect, so nothing is published. */
  readonly serving: Serving | undefined;
  /** Said in the status when there is no `serving`. */
  readonly notServing: string;
}

/** Until the network is joined something happens all the time, after that hardly anything does. */
const reviewMs = 15 * second;
const reviewSoonMs = second / 4;
/** A minute: who has no neighbours then need not be ready for them at once. */
const soonReviews = 240;

export class DhtFamily {
  readonly node: DhtNode;
  readonly family: Family;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #counters: Counters;
  readonly #notServing: string;
  readonly #gate: AnnounceGate | undefined;
  readonly #publisher: Publisher | undefined;
  #publishing = false;
  #seenState: JoinState = "alone";
  #reviews = 0;
  #stopReview: () => void = () => undefined;

  constructor(components: DhtComponents, settings: FamilySettings) {
    const { clock, random, counters, hashes, records } = components;
    const { id, family, version, serving } = settings;
    this.family = family;
    this.#clock = clock;
    this.#random = random;
    this.#counters = counters;
    this.#notServing = settings.notServing;
    this.node = new DhtNode(components, { id, family, version }, { moved: () => this.#moved() });
    if (serving === undefined) return;
    const parts = { asker: this.node, table: this.node.table, clock, random, counters };
    this.#gate = new AnnounceGate(parts, family, serving);
    this.#publisher = new Publisher(
      {
        ...{ asker: this.#gate, contactOf: (info) => this.#contact(info) },
        ...{ clock, random, hashes, counters, records, ownId: id },
        networkSize: () => this.node.networkSize(),
        measuredSize: () => this.node.measuredSize(),
      },
      { tcpPort: serving.tcpPort, family },
    );
  }

  start(): void {
    this.node.start();
    this.#review();
  }

  stop(): void {
    this.#stopReview();
    // It writes what it knows even if it was not at work.
    this.#publisher?.stop();
    this.node.stop();
  }

  /** False: too many keys. Without a publisher nothing happens. */
  publish(key: NodeId, value: ValueBytes): boolean {
    return this.#publisher?.publish(key, value) ?? true;
  }

  withdraw(key: NodeId): void {
    this.#publisher?.withdraw(key);
  }

  /** Bounded; see dht/walk.ts. */
  walk(events: WalkEvents): Walk {
    const { node } = this;
    const walk = new Walk(
      {
        ...{ asker: node, own: node.id, clock: this.#clock, random: this.#random },
        ...{ counters: this.#counters, contactOf: (info, teller) => this.#named(info, teller) },
      },
      events,
    );
    walk.start(node.table.contacts());
    return walk;
  }

  status(): FamilyStatus {
    const status = familyStatus(this.node, this.family, this.#clock.monotonicMs());
    return { ...status, publishing: this.#publishingStatus() };
  }

  #publishingStatus(): PublishingStatus {
    const status = this.#publisher?.status() ?? noPublisher;
    return { running: this.#publishing, note: this.#note(), ...status };
  }

  #note(): string | undefined {
    const gate = this.#gate;
    if (gate === undefined) return this.#notServing;
    if (!gate.beyondLoopback) {
      return "other machines cannot connect: proxy.bind has no other than loopback addresses";
    }
    const scopes = new Set([...this.node.table.contacts()].map(({ peer }) => peer.scope));
    if (!scopes.has("global") || gate.proof === "reached") return undefined;
    return gate.proof === "unreached"
      ? "the Internet is told nothing: nodes there cannot connect to our TCP port"
      : "the Internet is told nothing yet: no node there has connected to our TCP port";
  }

  #review(): void {
    const { node } = this;
    const { state } = node.joining;
    this.#reviewPublishing(state === "joined", this.#seenState === "joined");
    this.#seenState = state;
    const settled = state === "joined" && (this.#publishing || this.#publisher === undefined);
    const soon = !settled && this.#reviews++ < soonReviews;
    this.#stopReview = this.#clock.after(soon ? reviewSoonMs : reviewMs, () => this.#review());
  }

  #reviewPublishing(isJoined: boolean, wasJoined: boolean): void {
    const [gate, publisher] = [this.#gate, this.#publisher];
    if (gate === undefined || publisher === undefined) return;
    gate.review(() => {
      if (this.#publishing) publisher.moved();
    });
    if (!isJoined) return;
    if (this.#publishing) {
      if (!wasJoined) publisher.joined();
    } else if (gate.useful && gate.settled) {
      this.#publishing = true;
      this.#counters.add("dht.publish.started");
      publisher.start();
    }
  }

  /** What was published names the old address; a new one may have to be proven first. */
  #moved(): void {
    this.#reviews = 0;
    this.#gate?.moved();
    if (this.#publishing && this.#gate?.settled === true) this.#publisher?.moved();
    this.#stopReview();
    this.#stopReview = this.#clock.after(reviewSoonMs, () => this.#review());
  }

  #contact({ id, endpoint }: NodeInfo): Contact {
    const peer = this.node.book.peer(endpoint);
    return { id, endpoint: peer.endpoint, peer };
  }

  #named(info: NodeInfo, teller: Contact): Contact | undefined {
    if (info.endpoint.address.includes(":") !== (this.family === 6)) return undefined;
    const contact = this.#contact(info);
    return mayKnow(teller.peer.scope, contact.peer.scope) ? contact : undefined;
  }
}
