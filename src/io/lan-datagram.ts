/**
 * What daemons of one link say to each other to be found: one datagram of 42 bytes, numbers in
 * network byte order.
 *
 *     offset  bytes
 *          0      8  "APT-P2P " in ASCII
 *          8      1  version: "1" in ASCII
 *          9      1  kind: 1 announce, 2 answer, 3 presence
 *         10     20  node id
 *         30      2  UDP port of the DHT, not 0
 *         32      2  TCP port for peers; 0: serves none
 *         34      8  network: 8 zero bytes for `public`, for any other name the first 8 bytes of the
 *                    SHA-256 of the name (ASCII, lower case)
 *
 * Announces and presences go by UDP to port 9978 of 239.192.152.77 (organization-local, RFC 2365)
 * and of ff12::6997 (link-local, not assigned, RFC 4291), with a time to live of 1, on every
 * interface. An announce asks for answers, a presence only of those to whom its sender is new. An
 * answer goes to the address and port from which the datagram came. The sender's address is never in
 * it: the receiver takes it from the packet. Bytes behind the 42nd are ignored, for later versions.
 */
import { idBytes, parseNodeId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import { nodeHashes } from "./node-hashes.ts";

export const lanGroup4 = "239.192.152.77";
export const lanGroup6 = "ff12::6997";
export const lanPort = 9978;

export type LanKind = "announce" | "answer" | "presence";

export interface LanDatagram {
  readonly kind: LanKind;
  readonly id: NodeId;
  /** 1 to 65535. */
  readonly udpPort: number;
  /** 0 to 65535. */
  readonly tcpPort: number;
  /** 8 bytes, see `networkTag`. */
  readonly network: Uint8Array;
}

const magic = Buffer.from("APT-P2P 1", "ascii");
const tagBytes = 8;
const kinds: readonly LanKind[] = ["announce", "answer", "presence"];
const kindAt = magic.length;
const idAt = kindAt + 1;
const portsAt = idAt + idBytes;
const networkAt = portsAt + 4;
const datagramBytes = networkAt + tagBytes;

export function encodeLanDatagram(datagram: LanDatagram): Uint8Array {
  const bytes = Buffer.alloc(datagramBytes);
  bytes.set(magic);
  bytes[kindAt] = kinds.indexOf(datagram.kind) + 1;
  bytes.set(datagram.id, idAt);
  bytes.writeUInt16BE(datagram.udpPort, portsAt);
  bytes.writeUInt16BE(datagram.tcpPort, portsAt + 2);
  bytes.set(datagram.network, networkAt);
  return bytes;
}

/** undefined for everything that is not such a datagram. Its bytes are copied. */
export function decodeLanDatagram(received: Uint8Array): LanDatagram | undefined {
  if (received.length < datagramBytes) return undefined;
  const bytes = Buffer.from(received.subarray(0, datagramBytes));
  const kind = kinds[(bytes[kindAt] ?? 0) - 1];
  const id = parseNodeId(new Uint8Array(bytes.subarray(idAt, portsAt)));
  const udpPort = bytes.readUInt16BE(portsAt);
  if (!bytes.subarray(0, kindAt).equals(magic)) return undefined;
  if (kind === undefined || id === undefined || udpPort === 0) return undefined;
  const tcpPort = bytes.readUInt16BE(portsAt + 2);
  return { kind, id, udpPort, tcpPort, network: new Uint8Array(bytes.subarray(networkAt)) };
}

/** A network's name, as in the configuration → the 8 bytes that stand for it. */
export function networkTag(name: string): Uint8Array {
  if (name === "public") return new Uint8Array(tagBytes);
  return new Uint8Array(nodeHashes.of(name).subarray(0, tagBytes));
}
