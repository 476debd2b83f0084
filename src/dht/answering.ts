/**
 * What this node answers to queries. Who has no valid token gets at most as many bytes as it sent, so
 * that nobody can be flooded through this node; what makes it act or remember needs a token.
 */
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import { endpoint, scopeOf } from "../base/endpoint.ts";
import type { AddressScope, Endpoint } from "../base/endpoint.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock } from "../base/ports.ts";
import { encodedSize, fitAnswer, fitError } from "../krpc/encode.ts";
import { maxDatagramBytes } from "../krpc/message.ts";
import type {
  AnswerFields,
  AnswerMessage,
  ErrorCodeNumber,
  Query,
  QueryMessage,
} from "../krpc/message.ts";
import type { MessagePort } from "../krpc/ports.ts";
import type { DialBacks } from "./dial-backs.ts";
import type { Tokens } from "./tokens.ts";
import type { Contact } from "./types.ts";
import type { Page, PageRequest, ValueStore } from "./value-store.ts";

export interface AnsweringComponents {
  readonly id: NodeId;
  readonly version: string;
  readonly clock: Clock;
  readonly port: MessagePort;
  readonly counters: Counters;
  readonly tokens: Tokens;
  readonly store: ValueStore;
  readonly dialBacks: DialBacks;
  readonly closest: (target: NodeId, count: number) => readonly Contact[];
}

export class Answering {
  readonly #with: AnsweringComponents;

  constructor(components: AnsweringComponents) {
    this.#with = components;
  }

  /**
   * Answers a query that came as so many bytes, now or (join) a little later → whether the asker has
   * proved its address.
   */
  answer(from: Endpoint, message: QueryMessage, bytes: number): boolean {
    const { clock, counters, tokens } = this.#with;
    const { query, token } = message;
    const proven = token !== undefined && tokens.valid(from.address, token, clock.monotonicMs());
    const limit = proven ? maxDatagramBytes : Math.min(bytes, maxDatagramBytes);
    counters.add(`dht.heard.${query.method}`);
    if (!proven && acts(query)) {
      counters.add("dht.token.refused");
      this.refuse(from, { transaction: message.transaction, code: 205, text: "bad token" }, bytes);
      return proven;
    }
    if (query.method === "join") {
      this.#with.dialBacks.ask(endpoint(from.address, query.port), (reached) => {
        this.#send(from, message, reached === undefined ? {} : { reached }, limit);
      });
    } else this.#send(from, message, this.#fields(from, query), limit);
    return proven;
  }

  /** An error, unless it would be longer than what it answers. */
  refuse(
    from: Endpoint,
    error: {
      readonly transaction: string;
      readonly code: ErrorCodeNumber;
      readonly text: string;
    },
    bytes: number,
  ): void {
    const { version, port, counters } = this.#with;
    const message = fitError({ kind: "error", version, ...error }, bytes);
    if (message === undefined) counters.add("dht.answer.tooLong");
    else port.send(from, message);
  }

  #fields(from: Endpoint, query: Exclude<Query, { method: "join" }>): AnswerFields {
    const { store, clock } = this.#with;
    const nowMs = clock.monotonicMs();
    switch (query.method) {
      case "ping":
        return {};
      case "find_node":
        return { nodes: this.#nodes(from, query.target, query.count) };
      case "find_value": {
        const page = this.#page(from, { key: query.key, from: 0, count: dhtLimits.mostValues });
        return { nodes: this.#nodes(from, query.key, dhtLimits.k), ...page };
      }
      case "get_value":
        return this.#page(from, query);
      case "store_value":
        return { stored: this.#stored(from, query, nowMs) };
      case "renew": {
        const publisher = endpoint(from.address, query.port);
        const { count, digest } = query;
        return { renewed: store.renew(publisher, { count, digest, nowMs }) };
      }
    }
  }

  /** In order up to the first that is refused, so that the count tells the publisher which. */
  #stored(from: Endpoint, query: Extract<Query, { method: "store_value" }>, nowMs: number): number {
    const { store, counters } = this.#with;
    const publisher = endpoint(from.address, query.port);
    let stored = 0;
    for (const { key, value } of query.values) {
      const outcome = store.store({ key, publisher, value, nowMs });
      counters.add(`dht.store.${outcome}`);
      if (outcome !== "stored" && outcome !== "withdrawn") break;
      stored++;
    }
    return stored;
  }

  #page(from: Endpoint, wanted: Pick<PageRequest, "key" | "from" | "count">): Page {
    const { key, count } = wanted;
    const asker = scopeOf(from.address);
    return this.#with.store.page({
      ...{ key, count, from: wanted.from, asker: from.address },
      visible: ({ address }) => mayKnow(asker, scopeOf(address)),
    });
  }

  #nodes(from: Endpoint, target: NodeId, count: number): readonly Contact[] {
    const asker = scopeOf(from.address);
    const known = (most: number): readonly Contact[] =>
      this.#with
        .closest(target, most)
        .filter(({ endpoint: { text }, peer }) => text !== from.text && mayKnow(asker, peer.scope));
    const nodes = known(count + 1);
    // Where a LAN stands nearest, the next ones are all that a stranger may hear of.
    return (nodes.length < count ? known(8 * count) : nodes).slice(0, count);
  }

  #send(from: Endpoint, query: QueryMessage, fields: AnswerFields, limit: number): void {
    const { id, version, port, tokens, clock, counters } = this.#with;
    const token = tokens.issue(from.address, clock.monotonicMs());
    const { transaction } = query;
    const full: AnswerMessage = {
      kind: "answer",
      transaction,
      version,
      id,
      seen: from,
      token,
      fields,
    };
    const fitting = fitAnswer(full, limit);
    if (encodedSize(fitting) > limit) counters.add("dht.answer.tooLong");
    else port.send(from, fitting);
  }
}

/** Whether the query makes this node remember or dial. */
function acts({ method }: Query): boolean {
  return method === "store_value" || method === "renew" || method === "join";
}

/** Private addresses are told only to private askers, loopback ones only to this machine. */
export function mayKnow(asker: AddressScope, told: AddressScope): boolean {
  if (told === "global") return true;
  return told === asker || (told === "private" && asker === "loopback");
}
