/**
 * What the control socket answers about the DHT. Look-ups and walks are told line by line (NDJSON)
 * while they run; they end when whoever asked has gone, or with the daemon.
 */
import type { Archive } from "../archive/archive.ts";
import { AptP2pError } from "../base/errors.ts";
import type { Family } from "../base/endpoint.ts";
import { idText } from "../base/node-id.ts";
import type { Sha256 } from "../base/sha256.ts";
import { parseSha256 } from "../base/sha256.ts";
import type { Hop } from "../dht/lookup.ts";
import type { DhtWalkEvents, FamilyWalk } from "../engine/dht-service.ts";
import type { FoundPeer } from "../engine/dht-lookup.ts";
import { parseTarget } from "../engine/target.ts";
import type { DaemonDht } from "./dht.ts";

/** One JSON value as a line. */
export type TellLine = (line: Readonly<Record<string, unknown>>) => void;

export interface LookupQuestion {
  /** A digest or a URL. */
  readonly what: string;
  readonly hops: boolean;
}

export interface LookupParts {
  readonly dht: DaemonDht;
  /** undefined: this daemon knows no files. */
  readonly archive: Archive | undefined;
  readonly leastBytes: number;
}

interface Wanted {
  readonly sha256: Sha256;
  readonly sizeBytes: number | undefined;
}

/** Tells `{peer}`, `{hop}` and `{note}` as they come → the result. Rejects USAGE, CLOSED. */
export async function lookup(
  parts: LookupParts,
  { what, hops }: LookupQuestion,
  tell: TellLine,
  signal: AbortSignal,
): Promise<unknown> {
  const { service } = parts.dht;
  const { sha256, sizeBytes } = await resolve(parts.archive, what);
  if (sizeBytes !== undefined && sizeBytes < parts.leastBytes) {
    tell({
      note: `it has ${sizeBytes} bytes, fewer than dht.lookup_min_size (${parts.leastBytes}): downloads do not look it up, and nobody publishes it`,
    });
  }
  const startedMs = performance.now();
  const sinceMs = (): number => Math.round(performance.now() - startedMs);
  const publishers = new Set<string>();
  let firstMs: number | undefined;
  return new Promise((done, reject) => {
    const handle = service.lookup(sha256, {
      peers: (peers) => {
        for (const peer of peers) {
          publishers.add(peer.publisher.text);
          firstMs ??= sinceMs();
          tell({ peer: shownPeer(peer, sinceMs()) });
        }
      },
      hop: (hop, family) => {
        if (hops) tell({ hop: shownHop(hop, { family, atMs: sinceMs() }) });
      },
      done: ({ families, messages, closest }) => {
        signal.removeEventListener("abort", abort);
        done({
          ...{ sha256, sizeBytes, peers: publishers.size, firstMs, tookMs: sinceMs() },
          ...{ families, messages, closest },
        });
      },
    });
    const abort = (): void => {
      handle.cancel();
      reject(new AptP2pError("CLOSED", "the look-up was ended"));
    };
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
  });
}

/** Rejects USAGE while another walk goes on; CLOSED. */
export async function walk(
  dht: DaemonDht,
  tell: (progress: { readonly note: string }) => void,
  signal: AbortSignal,
): Promise<unknown> {
  const { service } = dht;
  const walks = await new Promise<readonly FamilyWalk[]>((done, reject) => {
    const events: DhtWalkEvents = {
      progress: ({ found, answered, silent, queries }, family) =>
        tell({
          note: `IPv${family}: ${found} nodes found, ${answered} answered, ${silent} silent, ${queries} queries`,
        }),
      done,
    };
    const cancel = service.walk(events);
    if (cancel === undefined) {
      reject(new AptP2pError("USAGE", "another walk is under way; ask again when it has ended"));
      return;
    }
    const abort = (): void => {
      cancel();
      reject(new AptP2pError("CLOSED", "the walk was ended"));
    };
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
  });
  return { families: walks.map(shownWalk) };
}

/** A digest as it is; a URL by what the indexes say of it. Rejects USAGE for anything else. */
async function resolve(archive: Archive | undefined, what: string): Promise<Wanted> {
  const sha256 = parseSha256(what);
  if (sha256 !== undefined) return { sha256, sizeBytes: undefined };
  const target = parseTarget(withoutUs(what));
  if (target?.name === undefined) {
    const advice = "give 64 hexadecimal digits, or the URL of a file on a mirror";
    throw new AptP2pError("USAGE", `neither a SHA-256 nor a URL: ${what}; ${advice}`);
  }
  if (archive === undefined) {
    const advice = "give the SHA-256 of the file";
    throw new AptP2pError(
      "USAGE",
      `this daemon serves the DHT alone and knows no files; ${advice}`,
    );
  }
  await archive.settled(target.name);
  const [first] = archive.expectations(target.name);
  const expected = first === undefined ? undefined : parseSha256(first.sha256);
  if (first === undefined || expected === undefined) {
    const advice = `see apt-p2p why ${what}`;
    throw new AptP2pError("USAGE", `nothing that this daemon has read lists this file; ${advice}`);
  }
  return { sha256: expected, sizeBytes: first.sizeBytes };
}

/** The mirror's own URL, also if it was given in the form in which apt asks this daemon. */
export function withoutUs(given: string): string {
  return /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):\d+(\/.*)$/.exec(given)?.[1] ?? given;
}

function shownPeer({ publisher, value }: FoundPeer, atMs: number): unknown {
  const { state, pieces, privateAddresses } = value;
  return {
    ...{ address: publisher.text, atMs, pieces: pieces.kind },
    state: state.kind === "complete" ? "complete" : `${state.eighths}/8`,
    private: privateAddresses.map(({ text }) => text),
  };
}

function shownHop(hop: Hop, at: { readonly family: Family; readonly atMs: number }): unknown {
  const { contact, what, nodes, held, rttMs } = hop;
  return {
    ...{ ...at, node: idText(contact.id), address: contact.endpoint.text },
    ...{ what, nodes, held, rttMs: Math.round(rttMs * 10) / 10 },
  };
}

function shownWalk(result: FamilyWalk): unknown {
  const { family, found, answered, silent, queries, versions } = result;
  return {
    ...{ family, found, answered, silent, queries, tookMs: Math.round(result.tookMs) },
    ...{ complete: result.complete, estimatedNodes: result.estimatedNodes },
    versions: Object.fromEntries([...versions].sort((a, b) => b[1] - a[1])),
  };
}
