/**
 * The messages of the DHT as values: KRPC (BEP 5) with the queries of apt-p2p. PROTOCOL.md gives the
 * encoding; `encode.ts` and `decode.ts` are the only places that know it.
 */
import type { Endpoint } from "../base/endpoint.ts";
import type { NodeId } from "../base/node-id.ts";

/** A node as others speak of it. */
export interface NodeInfo {
  readonly id: NodeId;
  readonly endpoint: Endpoint;
}

/** What a publisher says about a file, as encoded by `value.ts`: opaque to those who hold it. */
export type ValueBytes = Uint8Array;

/** A value to store. The address is not in it: the holder takes it from the packet. */
export interface StoreItem {
  readonly key: NodeId;
  readonly value: ValueBytes;
}

/** A value as it is held: who published it (packet's source address, announced TCP port), and what. */
export interface HeldValue {
  readonly publisher: Endpoint;
  readonly value: ValueBytes;
}

export type Query =
  | { readonly method: "ping" }
  /** Asks to be dialled by TCP at the asker's own address and this port. */
  | { readonly method: "join"; readonly port: number }
  /** `count`: nodes wanted, 1 to 32. */
  | { readonly method: "find_node"; readonly target: NodeId; readonly count: number }
  | { readonly method: "find_value"; readonly key: NodeId }
  /** At most `count` values, of those held for `key`, from the one with index `from` on. */
  | {
      readonly method: "get_value";
      readonly key: NodeId;
      readonly count: number;
      readonly from: number;
    }
  /** `port`: the publisher's TCP port. */
  | { readonly method: "store_value"; readonly port: number; readonly values: readonly StoreItem[] }
  /** The publisher's keys at this holder: how many, and their digest (16 bytes, `value-digest.ts`). */
  | {
      readonly method: "renew";
      readonly port: number;
      readonly count: number;
      readonly digest: Uint8Array;
    };

export type Method = Query["method"];

interface Envelope {
  /** 1 to 20 bytes as latin1 text; an answer repeats its query's. */
  readonly transaction: string;
  /** Program and version of the sender, printable ASCII, at most 16 characters: `AP0.1.0`. */
  readonly version: string;
}

export interface QueryMessage extends Envelope {
  readonly kind: "query";
  readonly id: NodeId;
  /** The sender cannot be reached unasked: it must not be kept in tables (BEP 43). */
  readonly readOnly: boolean;
  /** Given by the addressee to this very address, or undefined. */
  readonly token: Uint8Array | undefined;
  /** Bytes of padding, so that an unproven sender may get an answer as large as its query. */
  readonly padding: number;
  readonly query: Query;
}

/** All that an answer may hold; which fields an answer must have depends on its query. */
export interface AnswerFields {
  readonly nodes?: readonly NodeInfo[];
  readonly values?: readonly HeldValue[];
  /** Values held for the key in all. */
  readonly held?: number;
  /** Of the values sent with store_value, how many are now held. */
  readonly stored?: number;
  /** join: whether the asker's TCP port answered. */
  readonly reached?: boolean;
  /** renew: whether count and digest agree; if not, the publisher sends its keys again. */
  readonly renewed?: boolean;
}

export interface AnswerMessage extends Envelope {
  readonly kind: "answer";
  readonly id: NodeId;
  /** The asker's address as the answerer sees it. */
  readonly seen: Endpoint | undefined;
  /** Proves the asker's address in its next queries. */
  readonly token: Uint8Array | undefined;
  readonly fields: AnswerFields;
}

/** 201 generic, 202 malformed, 203 unknown method, 204 wrong arguments, 205 bad token: as in 2008. */
export type ErrorCodeNumber = 201 | 202 | 203 | 204 | 205;

export interface ErrorMessage extends Envelope {
  readonly kind: "error";
  readonly code: ErrorCodeNumber;
  /** For people; at most 64 printable ASCII characters. */
  readonly text: string;
}

export type Message = QueryMessage | AnswerMessage | ErrorMessage;

/** Datagrams are at most this large, both ways: below IPv6's minimum MTU of 1,280 with headers. */
export const maxDatagramBytes = 1200;

/** What an unproven asker pads a find query to, and so the most that it can be answered. */
export const unprovenFindBytes = 700;

/** The same for all other queries: an answer with address and token. */
export const unprovenPingBytes = 120;
