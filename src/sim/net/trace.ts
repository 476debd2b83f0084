import type { Message, Method } from "../../krpc/message.ts";

/** How a datagram ended. */
export type Fate =
  | "delivered"
  /** By chance, as datagrams are. */
  | "lost"
  /** No pinhole of the addressee's NAT was open for it. */
  | "filtered"
  /** Nobody has that address, or not any more. */
  | "unreachable"
  /** Sender and addressee were in different parts of a divided network. */
  | "partitioned"
  /** Above the largest datagram of the protocol. */
  | "oversized"
  /** Its bytes did not decode (wire mode only). */
  | "undecodable";

export const fates: readonly Fate[] = [
  ...(["delivered", "lost", "filtered", "unreachable"] as const),
  ...(["partitioned", "oversized", "undecodable"] as const),
];

/** A number per form of message, so that the hash need not read text. */
const methodTags: Readonly<Record<Method, number>> = {
  ping: 1,
  join: 2,
  find_node: 3,
  find_value: 4,
  get_value: 5,
  store_value: 6,
  renew: 7,
};
const answerTag = 8;
const errorTag = 9;

export function messageTag(message: Message): number {
  if (message.kind === "query") return methodTags[message.query.method];
  return message.kind === "answer" ? answerTag : errorTag;
}

/** A datagram's end in numbers: microseconds count, hosts by index (-1: nobody). */
export interface Ending {
  readonly atMs: number;
  readonly from: number;
  readonly to: number;
  readonly tag: number;
}

/**
 * A running hash of all endings in their order: two runs with the same one did the same. Two lanes
 * of FNV-1a over 32-bit words with different primes; it proves nothing against malice.
 */
export class TraceHash {
  #a = 0x811c9dc5 | 0;
  #b = 0x9e3779b9 | 0;

  add({ atMs, from, to, tag }: Ending, fate: number): void {
    const time = (atMs * 1000) | 0;
    const what = (tag << 8) | fate;
    this.#a = fnv(fnv(fnv(fnv(this.#a, time), from), to), what);
    this.#b = Math.imul(Math.imul(this.#b ^ time, 0x85ebca6b) ^ this.#a, 0xc2b2ae35);
    this.#b ^= this.#b >>> 15;
  }

  /** 16 hexadecimal digits. */
  get text(): string {
    return [this.#a, this.#b].map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
  }
}

/** One step of FNV-1a (Fowler, Noll, Vo) over a word instead of a byte. */
function fnv(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x01000193);
  // Words, unlike bytes, reach the high bits: those must come down again.
  return mixed ^ (mixed >>> 17);
}
