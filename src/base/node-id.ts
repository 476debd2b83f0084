/**
 * Node ids and keys of the DHT: 160 bits, compared by XOR (Kademlia, Maymounkov and Mazières 2002,
 * section 2.1). A file's key is the first 20 bytes of its SHA-256; keys and ids share one space.
 */
import type { Random } from "./ports.ts";
import type { Sha256 } from "./sha256.ts";

export const idBytes = 20;
export const idBits = 160;

/** Exactly 20 bytes, checked once at the edge where they came in. Never changed after that. */
export type NodeId = Uint8Array & { readonly __brand: "NodeId" };

/** undefined unless there are exactly 20 bytes. The bytes are not copied. */
export function parseNodeId(bytes: Uint8Array): NodeId | undefined {
  return bytes.length === idBytes ? (bytes as NodeId) : undefined;
}

/** 40 hexadecimal digits. */
export function idText(id: NodeId): string {
  return Buffer.from(id.buffer, id.byteOffset, idBytes).toString("hex");
}

/** 40 hexadecimal digits → id; undefined for any other text. */
export function idFromText(text: string): NodeId | undefined {
  if (!/^[0-9a-f]{40}$/.test(text)) return undefined;
  return new Uint8Array(Buffer.from(text, "hex")) as NodeId;
}

/** The DHT key of a file: the first 160 bits of its digest. The full digest is checked elsewhere. */
export function keyOf(sha256: Sha256): NodeId {
  return new Uint8Array(Buffer.from(sha256.slice(0, 2 * idBytes), "hex")) as NodeId;
}

export function randomNodeId(random: Random): NodeId {
  const id = new Uint8Array(idBytes);
  for (let index = 0; index < idBytes; index++) id[index] = Math.floor(random.next() * 256);
  return id as NodeId;
}

/** An id with this many bits in common with `id`, the next one different, the rest random. */
export function idWithPrefix(id: NodeId, commonBits: number, random: Random): NodeId {
  const made = randomNodeId(random);
  const whole = commonBits >> 3;
  made.set(id.subarray(0, whole));
  if (commonBits < idBits) {
    const bit = commonBits & 7;
    const kept = (0xff00 >> bit) & 0xff;
    const flipped = 0x80 >> bit;
    const own = id[whole] ?? 0;
    const rest = (made[whole] ?? 0) & (flipped - 1);
    made[whole] = (own & kept) | ((own & flipped) ^ flipped) | rest;
  }
  return made;
}

export function sameId(a: NodeId, b: NodeId): boolean {
  for (let index = 0; index < idBytes; index++) if (a[index] !== b[index]) return false;
  return true;
}

/** Leading bits in common: 0 to 160. */
export function commonPrefix(a: NodeId, b: NodeId): number {
  for (let index = 0; index < idBytes; index++) {
    const difference = (a[index] ?? 0) ^ (b[index] ?? 0);
    if (difference !== 0) return 8 * index + Math.clz32(difference) - 24;
  }
  return idBits;
}

/** Negative if `a` is closer to `target` than `b` by XOR, 0 if they are the same id. */
export function compareDistance(target: NodeId, a: NodeId, b: NodeId): number {
  for (let index = 0; index < idBytes; index++) {
    const byte = target[index] ?? 0;
    const difference = ((a[index] ?? 0) ^ byte) - ((b[index] ?? 0) ^ byte);
    if (difference !== 0) return difference;
  }
  return 0;
}
