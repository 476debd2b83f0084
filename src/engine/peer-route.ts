/** What another daemon asks, taken apart (PROTOCOL.md, "Peers over HTTP"). Total: nothing throws. */
import { endpoint, scopeOf, type Endpoint } from "../base/endpoint.ts";
import { parseSha256, type Sha256 } from "../base/sha256.ts";
import { wireBounds } from "../swarm/peer-wire.ts";

export const peerPrefix = "/~/";

/** About one file. */
export type FileRoute =
  | { readonly kind: "file" | "pieces"; readonly sha256: Sha256 }
  | {
      readonly kind: "swarm";
      readonly sha256: Sha256;
      /** How many pieces the asker has seen there; undefined: it wants an answer at once. */
      readonly seen: number | undefined;
      readonly waitMs: number;
      /** It wants to be told of changes from now on, so often at most. */
      readonly everyMs: number | undefined;
      /** It wants to know of others. */
      readonly names: boolean;
    };

export type PeerRoute = FileRoute | { readonly kind: "filter" | "have" };

/** `url` begins with `/~/`; undefined: there is nothing of that name. */
export function peerRoute(url: string): PeerRoute | undefined {
  if (url === "/~/filter") return { kind: "filter" };
  if (url === "/~/have") return { kind: "have" };
  const match = /^\/~\/sha256\/([0-9a-f]{64})(?:\/(pieces|swarm))?(?:\?([^?]{0,200}))?$/.exec(url);
  const [, digest = "", what, query] = match ?? [];
  const sha256 = parseSha256(digest);
  if (sha256 === undefined) return undefined;
  if (what !== "swarm") return { kind: what === "pieces" ? "pieces" : "file", sha256 };
  const waitMs = Math.min(wireBounds.waitMs, numberIn(query, "wait") ?? 0);
  const names = numberIn(query, "names") !== 0;
  const everyMs = numberIn(query, "every");
  return { kind: "swarm", sha256, seen: numberIn(query, "seen"), waitMs, names, everyMs };
}

function numberIn(query: string | undefined, name: string): number | undefined {
  for (const part of (query ?? "").split("&")) {
    const [key, value = ""] = part.split("=");
    if (key === name && /^\d{1,9}$/.test(value)) return Number(value);
  }
  return undefined;
}

/** Lower ones belong to the system's own services, at which nobody shall point us. */
const leastPort = 1024;

/**
 * Where the asker itself serves peers, by its word (`apt-p2p-port`) and its address; undefined:
 * nowhere, or where only this machine's own link leads.
 */
export function askerEndpoint(address: string, port: string | undefined): Endpoint | undefined {
  if (port === undefined || !/^\d{4,5}$/.test(port)) return undefined;
  const number = Number(port);
  if (number < leastPort || number > 65_535) return undefined;
  const linkLocal = /^fe[89ab]|^169\.254\./.test(address);
  return linkLocal || scopeOf(address) === "unusable" ? undefined : endpoint(address, number);
}
