/**
 * Any file with a known digest, not only what apt asks for: from the store, from peers, and from a
 * URL if there is one. The bytes come in order; the last ones when all of them are proven.
 */
import type { Archive } from "../archive/archive.ts";
import type { Expectation, FileName } from "../archive/types.ts";
import { AptP2pError } from "../base/errors.ts";
import { minute, second } from "../base/units.ts";
import type { Clock } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Store } from "../cache/store.ts";
import { FileBody, type Body } from "./body.ts";
import type { Downloads } from "./downloads.ts";
import { askForState } from "./peer-requests.ts";
import type { Finder } from "./finder.ts";
import type { Mirror, PeerPort } from "./ports.ts";
import { parseTarget, urlOf } from "./target.ts";
import { until } from "./waiting.ts";

export interface GetParts {
  readonly archive: Archive;
  readonly store: Store;
  readonly downloads: Downloads;
  readonly mirror: Mirror;
  /** undefined: nobody may be asked. */
  readonly finder: Finder | undefined;
  /** Whether a peer at this address is not spoken to. */
  readonly banned: (address: string) => boolean;
  readonly peers: PeerPort;
  readonly clock: Clock;
}

export interface GetQuestion {
  /** One of them at least; with both the digest is the caller's word. */
  readonly url: string | undefined;
  readonly sha256: Sha256 | undefined;
  /** First byte that is wanted. */
  readonly start: number;
}

export interface Gotten {
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  /** Bytes [start, size). */
  readonly body: Body;
}

/** How long somebody is looked for who knows how long the file is. */
const sizePatienceMs = minute / 2;
/** After the first answer others may contradict it for so long. */
const secondOpinionMs = second / 2;

/**
 * Rejects with AptP2pError: USAGE for what nobody can know, MISMATCH if the file is shorter than what
 * the caller has, UPSTREAM, CLOSED.
 */
export async function get(
  parts: GetParts,
  question: GetQuestion,
  signal: AbortSignal,
): Promise<Gotten> {
  const { start } = question;
  const known = await expectation(parts, question, signal);
  const { sha256 } = known;
  const held = await fromStore(parts.store, sha256, start);
  if (held !== undefined) return held;
  const sizeBytes = known.sizeBytes ?? (await sizeByPeers(parts, sha256, signal));
  if (sizeBytes === undefined) {
    throw new AptP2pError("UPSTREAM", "nobody who can be reached has this file");
  }
  if (start > sizeBytes) throw tooFar(sizeBytes);
  const got = await parts.downloads.get({
    ...{ name: known.name, url: known.url ?? "", headers: {}, document: false, start, whole: true },
    expectations: [{ sha256, sizeBytes, ...known.provenance }],
  });
  if (got === undefined) {
    const again = await fromStore(parts.store, sha256, start);
    if (again !== undefined) return again;
    throw new AptP2pError("UPSTREAM", "the download of this file cannot be joined; try again");
  }
  const { download } = got.running;
  try {
    await until(download.head(), signal);
    if (!download.provable) throw new AptP2pError("UPSTREAM", "the mirror has another file there");
    return { sha256, sizeBytes, body: download.body(start, undefined) };
  } catch (thrown) {
    download.leave();
    throw thrown;
  }
}

interface Known {
  readonly sha256: Sha256;
  readonly sizeBytes: number | undefined;
  readonly name: FileName;
  readonly url: string | undefined;
  readonly provenance: Pick<Expectation, "trust" | "listedIn" | "release" | "signedBy">;
}

/** What is known of the file before anybody is asked for it. */
async function expectation(
  { archive, mirror }: GetParts,
  { url, sha256 }: GetQuestion,
  signal: AbortSignal,
): Promise<Known> {
  const ownWord = { trust: "unverified", listedIn: "", release: undefined, signedBy: [] } as const;
  if (url === undefined) {
    if (sha256 === undefined) throw new AptP2pError("USAGE", "neither a URL nor a digest is given");
    const name = `sha256/${sha256}` as FileName;
    return { sha256, sizeBytes: undefined, name, url, provenance: ownWord };
  }
  const [whole = ""] = url.split("#", 1);
  const target = parseTarget(/^https?:\/\//.test(whole) ? whole : `http://${whole}`);
  // With a query it is no archive's.
  const own = sha256 === undefined ? undefined : (`sha256/${sha256}` as FileName);
  const name = target?.name ?? own;
  if (target === undefined || name === undefined) {
    throw new AptP2pError("USAGE", `no URL of a file whose digest is known: ${url}`);
  }
  const from = urlOf(target, target.scheme);
  await archive.settled(name);
  const listed = archive
    .expectations(name)
    .find((each) => sha256 === undefined || each.sha256 === sha256);
  if (listed !== undefined) {
    const { sizeBytes } = listed;
    return { sha256: listed.sha256, sizeBytes, name, url: from, provenance: listed };
  }
  if (sha256 === undefined) {
    const advice = "give its digest with --sha256, or see apt-p2p why";
    throw new AptP2pError("USAGE", `no index that is known here lists ${url}; ${advice}`);
  }
  const sizeBytes = await sizeByMirror(mirror, from, signal);
  return { sha256, sizeBytes, name, url: from, provenance: ownWord };
}

/** undefined: the mirror does not say; peers may. */
async function sizeByMirror(
  mirror: Mirror,
  url: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    const response = await mirror.fetch(
      { method: "HEAD", url, headers: {}, urgent: false },
      signal,
    );
    await response.body[Symbol.asyncIterator]().return?.();
    const length = Number(response.headers["content-length"] ?? "NaN");
    return response.status === 200 && Number.isSafeInteger(length) ? length : undefined;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    return undefined;
  }
}

async function fromStore(store: Store, sha256: Sha256, start: number): Promise<Gotten | undefined> {
  if (store.find(sha256) === undefined) return undefined;
  const opened = await store.open(sha256);
  if (opened === undefined) return undefined;
  const { sizeBytes } = opened.file;
  if (start > sizeBytes) {
    opened.handle.close().catch(() => undefined);
    throw tooFar(sizeBytes);
  }
  return { sha256, sizeBytes, body: new FileBody(opened.handle, start, sizeBytes) };
}

function tooFar(sizeBytes: number): AptP2pError {
  return new AptP2pError(
    "MISMATCH",
    `the file has ${sizeBytes} bytes, fewer than are here already`,
  );
}

/** The size that most peers tell. A wrong one only costs a download that does not match. */
function sizeByPeers(
  { finder, peers, clock, banned }: GetParts,
  sha256: Sha256,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (finder === undefined) {
    throw new AptP2pError("CONFIG", "with dht.share = none no peer is asked; give a URL");
  }
  const votes = new Map<number, number>();
  const asked = new Set<string>();
  let pending = 0;
  let searching = true;
  return new Promise((resolve) => {
    const stop = new AbortController();
    const over = (): void => {
      search.cancel();
      cancelTimer();
      stop.abort();
      const [best] = [...votes].sort((a, b) => b[1] - a[1]);
      resolve(best?.[0]);
    };
    let cancelTimer = clock.after(sizePatienceMs, over);
    const review = (): void => {
      if (!searching && pending === 0) over();
    };
    const search = finder.find(sha256, Infinity, {
      list: () => undefined,
      peers: (found) => {
        for (const { endpoint, near } of found) {
          if (asked.has(endpoint.text) || asked.size >= 16 || banned(endpoint.address)) continue;
          asked.add(endpoint.text);
          pending++;
          const what = { to: { endpoint, near }, sha256, names: true, seen: undefined, waitMs: 0 };
          askForState(peers, what, stop.signal)
            .then((answer) => {
              if ("failure" in answer) return;
              const { sizeBytes } = answer.state;
              if (votes.size === 0) {
                cancelTimer();
                cancelTimer = clock.after(secondOpinionMs, over);
              }
              votes.set(sizeBytes, (votes.get(sizeBytes) ?? 0) + 1);
            })
            .catch(() => undefined)
            .finally(() => {
              pending--;
              review();
            });
        }
      },
      done: () => {
        searching = false;
        review();
      },
    });
    signal.addEventListener("abort", over, { once: true });
    if (signal.aborted) over();
  });
}
