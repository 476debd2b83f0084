/**
 * Queries under way: each is sent, sent again, suspected and given up by its own schedule. An answer
 * counts only if its transaction id and its source address are those of a pending query; everything
 * else is dropped without a word, since an error could be aimed at somebody by a forged source.
 */
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import type { Endpoint } from "../base/endpoint.ts";
import type { Clock, Random } from "../base/ports.ts";
import type { AnswerMessage, ErrorMessage, QueryMessage } from "./message.ts";
import type { MessagePort } from "./ports.ts";

/** Milliseconds since the query was first sent. */
export interface Schedule {
  /** When it is sent again, in order. */
  readonly resendMs: readonly number[];
  /** When the addressee counts as slow, though it may still answer. At most `failMs`. */
  readonly suspectMs: number;
  /** When nobody waits any longer. After the last resend. */
  readonly failMs: number;
}

export type Outcome =
  | {
      readonly kind: "answer";
      readonly message: AnswerMessage;
      /** Since the first sending. */
      readonly rttMs: number;
      /** It was sent more than once: which sending was answered is unknown (Karn's rule). */
      readonly resent?: true;
    }
  | { readonly kind: "error"; readonly message: ErrorMessage }
  | {
      readonly kind: "failed";
      /** Nothing was sent, for too much is under way. */
      readonly unsent?: true;
      /** Somebody with another id answered from that address. */
      readonly other?: AnswerMessage;
    };

export interface QueryHandlers {
  /** Called exactly once, unless cancelled before, and never from inside `ask`. */
  readonly done: (outcome: Outcome) => void;
  /** Called at most once, before `done`. */
  readonly suspect?: () => void;
  /** Called after each sending but the first. */
  readonly resent?: () => void;
}

export interface PendingQuery {
  /** Nobody is called any more. */
  readonly cancel: () => void;
  /** It is not sent again, but may still be answered. */
  readonly sendNoMore: () => void;
}

interface Pending {
  readonly key: string;
  readonly to: Endpoint;
  readonly message: QueryMessage;
  readonly schedule: Schedule;
  readonly handlers: QueryHandlers;
  readonly sentAtMs: number;
  /** Resends made; Infinity when no more are wanted. */
  resends: number;
  resent: boolean;
  suspected: boolean;
  stopTimer: () => void;
}

export interface TransactionComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly port: MessagePort;
  readonly counters: Counters;
}

export class Transactions {
  readonly #components: TransactionComponents;
  readonly #pending = new Map<string, Pending>();

  constructor(components: TransactionComponents) {
    this.#components = components;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** A new id: 4 random bytes. Guessing it blindly takes 2^32 datagrams in one time-out. */
  transaction(): string {
    const { random } = this.#components;
    const word = Math.floor(random.next() * 2 ** 32);
    return String.fromCharCode(word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24);
  }

  /** Sends `message`, whose transaction id comes from `transaction`. Beyond the limit it fails. */
  ask(
    to: Endpoint,
    message: QueryMessage,
    schedule: Schedule,
    handlers: QueryHandlers,
  ): PendingQuery {
    const { clock, port, counters } = this.#components;
    const key = keyOf(message.transaction, to);
    if (this.#pending.size >= dhtLimits.pendingQueries || this.#pending.has(key)) {
      counters.add("dht.query.refused");
      const stop = clock.after(0, () => handlers.done({ kind: "failed", unsent: true }));
      return { cancel: stop, sendNoMore: nothing };
    }
    const pending: Pending = {
      key,
      to,
      message,
      schedule,
      handlers,
      sentAtMs: clock.monotonicMs(),
      resends: 0,
      resent: false,
      suspected: false,
      stopTimer: nothing,
    };
    this.#pending.set(key, pending);
    this.#arm(pending);
    port.send(to, message);
    return {
      cancel: () => this.#end(pending),
      sendNoMore: () => {
        pending.resends = Infinity;
      },
    };
  }

  /** False: nobody asked for this. */
  receive(from: Endpoint, message: AnswerMessage | ErrorMessage): boolean {
    const pending = this.#pending.get(keyOf(message.transaction, from));
    if (pending === undefined) return false;
    this.#end(pending);
    if (message.kind === "error") pending.handlers.done({ kind: "error", message });
    else {
      const rttMs = this.#components.clock.monotonicMs() - pending.sentAtMs;
      const answer = { kind: "answer", message, rttMs } as const;
      pending.handlers.done(pending.resent ? { ...answer, resent: true } : answer);
    }
    return true;
  }

  /** Forgets all without calling anybody. */
  close(): void {
    for (const pending of this.#pending.values()) pending.stopTimer();
    this.#pending.clear();
  }

  /** One timer a query: for whatever comes next in its schedule. */
  #arm(pending: Pending): void {
    const { clock } = this.#components;
    const { resendMs, suspectMs, failMs } = pending.schedule;
    const resend = resendMs[pending.resends] ?? Infinity;
    const suspect = pending.suspected ? Infinity : suspectMs;
    const dueMs = Math.min(resend, suspect, failMs);
    const elapsed = clock.monotonicMs() - pending.sentAtMs;
    pending.stopTimer = clock.after(dueMs - elapsed, () => this.#due(pending, dueMs));
  }

  #due(pending: Pending, dueMs: number): void {
    const { resendMs, suspectMs, failMs } = pending.schedule;
    const { handlers } = pending;
    if (!pending.suspected && suspectMs <= dueMs) {
      pending.suspected = true;
      handlers.suspect?.();
    }
    // The handler may have cancelled it.
    if (this.#pending.get(pending.key) !== pending) return;
    if (failMs <= dueMs) {
      this.#end(pending);
      handlers.done({ kind: "failed" });
      return;
    }
    const resend = resendMs[pending.resends];
    if (resend !== undefined && resend <= dueMs) {
      pending.resends++;
      pending.resent = true;
      this.#components.counters.add("dht.query.resent");
      this.#components.port.send(pending.to, pending.message);
      handlers.resent?.();
    }
    this.#arm(pending);
  }

  #end(pending: Pending): void {
    pending.stopTimer();
    if (this.#pending.get(pending.key) === pending) this.#pending.delete(pending.key);
  }
}

function keyOf(transaction: string, { text }: Endpoint): string {
  return `${transaction}@${text}`;
}

function nothing(): void {
  return undefined;
}
