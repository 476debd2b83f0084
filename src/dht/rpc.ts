/**
 * Queries to other nodes with everything that belongs to one: token or padding, round trips, failures
 * and suspicion of the peer, the check that it is who it was said to be. What an outcome means for
 * the routing table is told to `listener`, whoever asked.
 */
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import type { Endpoint } from "../base/endpoint.ts";
import { sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock } from "../base/ports.ts";
import { padTo } from "../krpc/encode.ts";
import { unprovenFindBytes, unprovenPingBytes } from "../krpc/message.ts";
import type { AnswerMessage, Method, Query, QueryMessage } from "../krpc/message.ts";
import type {
  Outcome,
  PendingQuery,
  QueryHandlers,
  Schedule,
  Transactions,
} from "../krpc/transactions.ts";
import { noteRoundTrip } from "./peer-book.ts";
import type { Peer, PeerBook } from "./peer-book.ts";
import { patientSchedule } from "./policy.ts";
import type { Contact } from "./types.ts";

export interface RpcListener {
  /** A node answered; `silentMs`: how long nothing had come from its address before. */
  answered(contact: Contact, message: AnswerMessage, silentMs: number): void;
  /** A query to it ran out. */
  failed(contact: Contact): void;
  /** Somebody else answered at its address. */
  gone(contact: Contact): void;
  /** A query to it ran into its time-out; it may still be answered. */
  suspected?(contact: Contact): void;
}

/** How this node shows itself in its messages. */
export interface Identity {
  readonly id: NodeId;
  readonly version: string;
  readonly readOnly: () => boolean;
}

export class Rpc {
  readonly #clock: Clock;
  readonly #transactions: Transactions;
  readonly #book: PeerBook;
  readonly #counters: Counters;
  readonly #identity: Identity;
  readonly #listener: RpcListener;
  /** Share of the latest queries that were not answered in time: a moving average. */
  silence: number = dhtLimits.firstSilence;
  /** When anybody last answered or asked: while nobody does, it is the network that is gone. */
  heardAnyAtMs = -Infinity;

  constructor(
    components: {
      readonly clock: Clock;
      readonly transactions: Transactions;
      readonly book: PeerBook;
      readonly counters: Counters;
    },
    identity: Identity,
    listener: RpcListener,
  ) {
    this.#clock = components.clock;
    this.#transactions = components.transactions;
    this.#book = components.book;
    this.#counters = components.counters;
    this.#identity = identity;
    this.#listener = listener;
  }

  /** One query under this schedule. An answer by somebody with another id is a failure. */
  query(to: Contact, query: Query, schedule: Schedule, handlers: QueryHandlers): PendingQuery {
    const { peer } = to;
    this.#counters.add("dht.query.sent");
    return this.#transactions.ask(to.endpoint, this.#message(peer, query), schedule, {
      done: (outcome) => handlers.done(this.#noted(to, outcome)),
      suspect: () => {
        peer.suspect = true;
        this.#countSilence(1);
        this.#counters.add("dht.query.suspect");
        this.#listener.suspected?.(to);
        handlers.suspect?.();
      },
      resent: () => handlers.resent?.(),
    });
  }

  /**
   * One patient query. What needs a token gets one first; a token that has become invalid is renewed
   * once.
   */
  ask(to: Contact, query: Query, done: (outcome: Outcome) => void): void {
    const needed = needsToken(query.method);
    if (needed && this.#token(to.peer) === undefined) {
      this.#patient(to, { method: "ping" }, (outcome) => {
        if (outcome.kind === "answer") this.#patient(to, query, done);
        else done(outcome);
      });
      return;
    }
    this.#patient(to, query, (outcome) => {
      const refused = outcome.kind === "error" && outcome.message.code === 205;
      if (refused && needed && to.peer.token !== undefined) {
        to.peer.token = undefined;
        this.#counters.add("dht.token.renewed");
        this.ask(to, query, done);
      } else done(outcome);
    });
  }

  /** Pings an address whose node's id is not known. */
  greet(endpoint: Endpoint, done: (contact: Contact | undefined) => void): PendingQuery {
    const peer = this.#book.peer(endpoint);
    const message = this.#message(peer, { method: "ping" });
    this.#counters.add("dht.query.sent");
    return this.#transactions.ask(endpoint, message, patientSchedule(peer), {
      done: (outcome) => {
        if (outcome.kind !== "answer") {
          done(undefined);
          return;
        }
        const contact = { id: outcome.message.id, endpoint, peer };
        this.#noted(contact, outcome);
        done(contact);
      },
    });
  }

  #patient(to: Contact, query: Query, done: (outcome: Outcome) => void): void {
    this.query(to, query, patientSchedule(to.peer), { done });
  }

  #message(peer: Peer, query: Query): QueryMessage {
    const { id, version, readOnly } = this.#identity;
    peer.sentAtMs = this.#clock.monotonicMs();
    const token = this.#token(peer);
    const message: QueryMessage = {
      kind: "query",
      transaction: this.#transactions.transaction(),
      version,
      id,
      readOnly: readOnly(),
      token,
      padding: 0,
      query,
    };
    return token === undefined ? padded(message) : message;
  }

  /** The peer's token for us, as long as it is surely good. */
  #token(peer: Peer): Uint8Array | undefined {
    const lifeMs = (dhtLimits.tokenSecrets - 1) * dhtLimits.tokenSecretMs;
    return this.#clock.monotonicMs() - peer.tokenAtMs < lifeMs ? peer.token : undefined;
  }

  #noted(contact: Contact, outcome: Outcome): Outcome {
    const { peer } = contact;
    const nowMs = this.#clock.monotonicMs();
    if (outcome.kind === "failed")
      return outcome.unsent === true ? outcome : this.#failed(contact, nowMs);
    const silentMs = nowMs - peer.arrivedAtMs;
    peer.arrivedAtMs = nowMs;
    peer.heardAtMs = nowMs;
    this.heardAnyAtMs = nowMs;
    if (outcome.kind === "error") {
      // Whoever only ever answers errors is of no use to anybody.
      if (outcome.message.code !== 205) this.#failed(contact, nowMs);
      return outcome;
    }
    const { message, rttMs, resent } = outcome;
    if (!sameId(message.id, contact.id)) {
      this.#counters.add("dht.answer.wrongId");
      // Nothing is wrong with who lives there, and the id that was asked for may be a lie of others.
      this.#listener.gone(contact);
      return { kind: "failed", other: message };
    }
    if (!peer.suspect) this.#countSilence(0);
    const certain = resent !== true || peer.srttMs === undefined;
    if (certain) noteRoundTrip(peer, Math.min(rttMs, dhtLimits.longestTimeoutMs));
    peer.failures = 0;
    peer.suspect = false;
    if (message.token !== undefined) {
      peer.token = message.token;
      peer.tokenAtMs = nowMs;
    }
    this.#listener.answered(contact, message, silentMs);
    return outcome;
  }

  #countSilence(silent: 0 | 1): void {
    this.silence += (silent - this.silence) * dhtLimits.silenceWeight;
  }

  #failed(contact: Contact, nowMs: number): Outcome {
    const { peer } = contact;
    peer.suspect = true;
    this.#counters.add("dht.query.failed");
    // Without a network everybody fails; that says nothing about them.
    const offline = nowMs - this.heardAnyAtMs > dhtLimits.offlineMs;
    if (!offline || peer.failures === 0) peer.failures++;
    this.#listener.failed(contact);
    return { kind: "failed" };
  }
}

function needsToken(method: Method): boolean {
  return method === "store_value" || method === "renew" || method === "join";
}

/** Padding as long as the answer that is wanted: who has proved nothing gets no more than it sent. */
function padded(message: QueryMessage): QueryMessage {
  const { method } = message.query;
  const finds = method === "find_node" || method === "find_value" || method === "get_value";
  return padTo(message, finds ? unprovenFindBytes : unprovenPingBytes);
}
