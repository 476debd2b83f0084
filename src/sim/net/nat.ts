/**
 * What stands between a simulated host and the Internet (terms of RFC 3489 section 5, behaviour of
 * RFC 4787): one gateway a host, with an outside address of its own.
 *
 * - A pinhole stays open for `pinholeMs` after the last datagram that went out through it; what
 *   comes in does not keep it open (RFC 4787, REQ-6).
 * - The three cones keep one outside port, symmetric NATs take a new one per destination.
 * - No hairpin: a host cannot reach its own outside address.
 */
import { endpoint, type Endpoint } from "../../base/endpoint.ts";
import type { Random } from "../../base/ports.ts";
import { minute, second } from "../../base/units.ts";

export type NatKind =
  /** No NAT. */
  | "open"
  /** A cone whose host had its port forwarded by a mapping protocol: reachable like an open one. */
  | "mapped"
  /** Full cone: anybody may answer while any pinhole is open. */
  | "cone"
  /** Only addresses, or only endpoints, that were sent to. */
  | "address-restricted"
  | "port-restricted"
  /** A mapping per destination, and only that destination may use it. */
  | "symmetric";

export interface NatSettings {
  readonly kind: NatKind;
  readonly pinholeMs: number;
}

/** Whether strangers can reach a host behind this. */
export function isReachable({ kind }: NatSettings): boolean {
  return kind === "open" || kind === "mapped";
}

export type NatMix = readonly (readonly [kind: NatKind, share: number])[];

/**
 * Mix B of the laboratory: half of all hosts are open; of the cones' filters 70 % are
 * port-restricted, the others full and address-restricted alike.
 */
export const natMixB: NatMix = [
  ["open", 0.5],
  ["mapped", 0.18],
  ["cone", 0.24 * 0.15],
  ["address-restricted", 0.24 * 0.15],
  ["port-restricted", 0.24 * 0.7],
  ["symmetric", 0.08],
];

export function drawNat(random: Random, mix: NatMix = natMixB): NatSettings {
  return { kind: drawKind(random, mix), pinholeMs: drawPinholeMs(random) };
}

function drawKind(random: Random, mix: NatMix): NatKind {
  let rest = random.next();
  for (const [kind, share] of mix) {
    rest -= share;
    if (rest < 0) return kind;
  }
  // The shares' sum may be a rounding error below 1.
  return mix.at(-1)?.[0] ?? "open";
}

/** 30 s (25 %), 60 s (35 %) or 120 to 300 s (40 %). */
function drawPinholeMs(random: Random): number {
  const share = random.next();
  if (share < 0.25) return 30 * second;
  if (share < 0.6) return minute;
  return (2 + 3 * random.next()) * minute;
}

/** Pinholes of one gateway; home routers have so many for all their machines. */
const mostPinholes = 4096;
/** Below so many, expired ones are not looked for. */
const fewPinholes = 64;

/** Outside ports of symmetric NATs: the range that is free for such use, taken in turn. */
const firstPort = 1024;
const portCount = 65_536 - firstPort;

interface Pinhole {
  readonly outside: Endpoint;
  lastOutMs: number;
}

export class NatGateway {
  readonly #outside: Endpoint;
  readonly #kind: NatKind;
  readonly #pinholeMs: number;
  /** By what the filter looks at. At most `mostPinholes`; the longest known are given up first. */
  readonly #pinholes = new Map<string, Pinhole>();
  #sweepAt = fewPinholes;
  #ports = 0;

  /** `outside`: the gateway's address, and the port that all but symmetric NATs give their host. */
  constructor(outside: Endpoint, { kind, pinholeMs }: NatSettings) {
    this.#outside = outside;
    this.#kind = kind;
    this.#pinholeMs = pinholeMs;
  }

  /** The host sends to `to` → the endpoint that this comes from, as seen outside. */
  outgoing(to: Endpoint, nowMs: number): Endpoint {
    if (this.#kind === "open" || this.#kind === "mapped") return this.#outside;
    const key = this.#key(to);
    const known = this.#pinholes.get(key);
    if (known !== undefined && this.#isOpen(known, nowMs)) {
      known.lastOutMs = nowMs;
      return known.outside;
    }
    const pinhole = { outside: this.#newOutside(), lastOutMs: nowMs };
    if (known === undefined && this.#pinholes.size >= this.#sweepAt) this.#sweep(nowMs);
    this.#pinholes.set(key, pinhole);
    return pinhole.outside;
  }

  /** Whether a datagram from `from` to the outside endpoint `to` gets through to the host. */
  admits(from: Endpoint, to: Endpoint, nowMs: number): boolean {
    if (this.#kind === "open" || this.#kind === "mapped") return true;
    const pinhole = this.#pinholes.get(this.#key(from));
    return (
      pinhole !== undefined && this.#isOpen(pinhole, nowMs) && pinhole.outside.port === to.port
    );
  }

  /** Places taken, by expired pinholes, too. */
  get pinholes(): number {
    return this.#pinholes.size;
  }

  #key(remote: Endpoint): string {
    if (this.#kind === "cone") return "";
    return this.#kind === "address-restricted" ? remote.address : remote.text;
  }

  #isOpen({ lastOutMs }: Pinhole, nowMs: number): boolean {
    return nowMs - lastOutMs <= this.#pinholeMs;
  }

  #newOutside(): Endpoint {
    if (this.#kind !== "symmetric") return this.#outside;
    const turn = (this.#outside.port - firstPort + ++this.#ports) % portCount;
    return endpoint(this.#outside.address, firstPort + ((turn + portCount) % portCount));
  }

  /** Drops what has expired; the next sweep is due when as many again have come. */
  #sweep(nowMs: number): void {
    for (const [key, pinhole] of this.#pinholes) {
      if (!this.#isOpen(pinhole, nowMs)) this.#pinholes.delete(key);
    }
    // A quarter at once, so that a full table is not swept for every newcomer.
    const kept = this.#pinholes.size < mostPinholes ? mostPinholes : (3 * mostPinholes) / 4;
    for (const key of this.#pinholes.keys()) {
      if (this.#pinholes.size <= kept) break;
      this.#pinholes.delete(key);
    }
    this.#sweepAt = Math.min(mostPinholes, Math.max(fewPinholes, 2 * this.#pinholes.size));
  }
}
