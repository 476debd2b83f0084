/**
 * The downloads under way: one for each digest (or, where none is known, for each URL and set of
 * request headers), however many want it.
 */
import type { Archive } from "../archive/archive.ts";
import { classify } from "../archive/classify.ts";
import type { Expectation, FileName } from "../archive/types.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Counters } from "../base/counters.ts";
import type { Clock, Hashes, Log } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { second } from "../base/units.ts";
import type { Store } from "../cache/store.ts";
import type { Unfinished } from "../cache/unfinished.ts";
import type { Documents } from "./documents.ts";
import { FileSourceBook } from "./file-sources.ts";
import { Download } from "./download.ts";
import { scopeOf } from "./download-plan.ts";
import type { DownloadHooks, DownloadSink, Head, Outcome } from "./download-plan.ts";
import type { Mirror } from "./ports.ts";
import { storedBytes } from "./stored-bytes.ts";
import type { Suspects } from "./suspects.ts";
import type { Swarm } from "./swarm.ts";
import type { SwarmSession } from "./swarm-session.ts";
import { Unstored } from "./unstored.ts";

export interface DownloadsComponents {
  readonly archive: Archive;
  readonly store: Store;
  readonly mirror: Mirror;
  readonly hashes: Hashes;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly documents: Documents;
  readonly suspects: Suspects;
  /** undefined: nothing comes from peers. */
  readonly swarm: Swarm | undefined;
}

export interface Wanted {
  readonly name: FileName;
  readonly url: string;
  readonly expectations: readonly Expectation[];
  /** Request headers for the mirror. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body is a document that the archive learns from. */
  readonly document: boolean;
  /** First byte that the client wants. */
  readonly start: number;
  /** All of it is wanted, whatever the client has: it is not left to the mirror's Range. */
  readonly whole?: true;
}

export interface Running {
  readonly download: Download;
  readonly name: FileName;
  /** What it must become; undefined where that is not known. */
  readonly sha256: Sha256 | undefined;
  readonly authorization: string | undefined;
  readonly startedMs: number;
  readonly url: string;
  /** The mirror has sent a wrong body of it before. */
  readonly doubtful: boolean;
  /** Somebody wanted it by its digest, listed or not. */
  readonly byHand: boolean;
  /** Several digests would do: which one it is, only the end tells. */
  readonly ambiguous: boolean;
  /** Resolves when it is over and put away. */
  readonly end: Promise<void>;
}

export interface DownloadSnapshot {
  readonly name: string;
  readonly receivedBytes: number;
  readonly sizeBytes: number | undefined;
  readonly waiters: number;
}

export class Downloads {
  readonly sources: FileSourceBook;
  readonly #components: DownloadsComponents;
  readonly #running = new Map<string, Promise<Running | undefined>>();
  readonly #live = new Set<Running>();
  readonly #ends = new Set<Promise<void>>();
  /** Wanted by their digest, and all that comes is something else. */
  readonly #givenUp = new Set<Wanted>();
  #closed = false;

  constructor(components: DownloadsComponents) {
    this.#components = components;
    this.sources = new FileSourceBook(components);
  }

  snapshot(): readonly DownloadSnapshot[] {
    return [...this.#live].map(({ name, download }) => ({
      name,
      receivedBytes: download.receivedBytes,
      sizeBytes: download.sizeBytes,
      waiters: download.waiters,
    }));
  }

  /** The download of this digest, if it runs. */
  find(sha256: Sha256): Running | undefined {
    for (const running of this.#live) if (running.sha256 === sha256) return running;
    return undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { download } of this.#live) download.abort();
    await Promise.all(this.#ends);
  }

  /**
   * The running download of what is wanted, joined on the caller's behalf; started if there is none.
   * undefined: this request is better served by the mirror alone (it starts far behind what is here,
   * carries other credentials, or comes too late for a download that could not be stored).
   */
  async get(wanted: Wanted): Promise<{ running: Running; shared: boolean } | undefined> {
    const key = wanted.expectations[0]?.sha256 ?? unprovenKey(wanted);
    for (;;) {
      const existing = this.#running.get(key);
      const running = await (existing ?? this.#start(key, wanted));
      if (running === undefined || this.#closed) return undefined;
      const { download } = running;
      if (existing !== undefined && download.ended) {
        // Its file is being put away; then it is either held, or fetched anew.
        await running.end;
        const { sha256 } = running;
        if (sha256 !== undefined && this.#components.store.find(sha256)) return undefined;
        continue;
      }
      if (existing !== undefined && !this.#welcome(running, wanted)) return undefined;
      download.join();
      return { running, shared: existing !== undefined };
    }
  }

  /** Whether a request is served well by a download that another one has started. */
  #welcome(running: Running, wanted: Wanted): boolean {
    const same = running.authorization === wanted.headers["authorization"];
    const far = wanted.whole !== true && this.#far(running, wanted.start);
    const fits = same && running.download.joinable(0) && !far;
    return fits && (originOf(running.url) === originOf(wanted.url) || !this.#foreign(running));
  }

  /** Another mirror's client has no part in a download whose mirror is doubtful or slow. */
  #foreign({ download, doubtful, startedMs }: Running): boolean {
    const elapsedMs = this.#components.clock.monotonicMs() - startedMs;
    const slow =
      elapsedMs > limits.foreignPatienceMs &&
      download.receivedBytes < limits.foreignBytesPerSecond * (elapsedMs / second);
    return doubtful || slow;
  }

  /** Whether a client would wait long in silence until the download reaches its first byte. */
  #far(running: Running, start: number): boolean {
    const gapBytes = start - running.download.receivedBytes;
    if (gapBytes <= limits.pieceBytes) return false;
    const elapsedMs = this.#components.clock.monotonicMs() - running.startedMs;
    const bytesPerMs = running.download.receivedBytes / Math.max(1, elapsedMs);
    return gapBytes > bytesPerMs * limits.aheadMs;
  }

  #start(key: string, wanted: Wanted): Promise<Running | undefined> {
    const starting = this.#open(key, wanted);
    this.#running.set(key, starting);
    const forget = (): void => {
      if (this.#running.get(key) === starting) this.#running.delete(key);
    };
    starting.then((running) => {
      if (running === undefined) forget();
    }, forget);
    return starting;
  }

  async #open(key: string, wanted: Wanted): Promise<Running | undefined> {
    const { clock, hashes, mirror, suspects, counters } = this.#components;
    const sink = await this.#sink(wanted);
    // Far from the beginning, with little of it here: the mirror's own Range serves this client.
    if (wanted.whole !== true && wanted.start - sink.bytes.heldBytes > limits.pieceBytes) {
      await sink.unfinished?.suspend();
      return undefined;
    }
    if (sink.bytes.heldBytes > 0) counters.add("engine.download.resumed");
    const reason = new AptP2pError("STORAGE", "not to be stored");
    const download = new Download(
      { mirror, clock, hooks: this.#hooks(wanted, sink.unfinished) },
      {
        url: wanted.url,
        accepted: wanted.expectations,
        headers: wanted.headers,
        sink: sink.bytes,
        spare: () => new Unstored(hashes, reason),
        suspect: suspects.has(wanted.name),
        urgent: isIndex(wanted.name),
        // An index that cannot be stored is read from memory: what it lists is needed all the same.
        collect: wanted.document || (sink.unfinished === undefined && isIndex(wanted.name)),
        swarm: this.#swarm(wanted, sink.unfinished),
      },
    );
    let over = (): void => undefined;
    const end = new Promise<void>((resolve) => {
      over = resolve;
    });
    const running: Running = {
      download,
      name: wanted.name,
      sha256: wanted.expectations[0]?.sha256,
      authorization: wanted.headers["authorization"],
      startedMs: clock.monotonicMs(),
      url: wanted.url,
      doubtful: suspects.has(wanted.name),
      byHand: wanted.whole === true,
      ambiguous: wanted.expectations.length > 1,
      end,
    };
    counters.add("engine.download.started");
    this.#live.add(running);
    this.#ends.add(end);
    void this.#run(key, { running, wanted, unfinished: sink.unfinished }).finally(() => {
      this.#ends.delete(end);
      over();
    });
    return running;
  }

  /** Peers are asked for what is known and may be shared; not after a wrong body of that name. */
  #swarm(
    wanted: Wanted,
    unfinished: Unfinished | undefined,
  ): ((position: number) => SwarmSession) | undefined {
    const { swarm, suspects } = this.#components;
    const [expected, another] = wanted.expectations;
    const sizeBytes = expected?.sizeBytes;
    if (swarm === undefined || another !== undefined || sizeBytes === undefined) return undefined;
    if (expected === undefined || sizeBytes === 0 || !swarm.worthwhile(sizeBytes)) return undefined;
    if (wanted.headers["authorization"] !== undefined) return undefined;
    // Without a mirror there is nobody else; those who are in doubt are left out.
    const doubtful = suspects.has(wanted.name) || suspects.has(expected.sha256);
    if (doubtful && wanted.url !== "") return undefined;
    return (position) =>
      swarm.open({
        ...{ sha256: expected.sha256, sizeBytes, position, store: unfinished, sequential: true },
        ahead: [...(unfinished?.aheadPieces ?? [])],
        mirror: wanted.url === "" ? undefined : { url: wanted.url, headers: wanted.headers },
      });
  }

  /** Where the bytes go: the store, or memory alone when it cannot take them. */
  async #sink(
    wanted: Wanted,
  ): Promise<{ bytes: DownloadSink; unfinished: Unfinished | undefined }> {
    const { store, hashes, counters, log } = this.#components;
    const [first] = wanted.expectations;
    try {
      if (wanted.document) throw new AptP2pError("STORAGE", "documents are small");
      if (wanted.headers["authorization"] !== undefined) {
        // Whoever asks next may have no right to it.
        throw new AptP2pError("FORBIDDEN", "what needs credentials is not kept");
      }
      const unfinished =
        first === undefined
          ? await store.spool()
          : await store.begin(first.sha256, first.sizeBytes);
      return { bytes: unfinished, unfinished };
    } catch (thrown) {
      if (!(thrown instanceof AptP2pError)) throw thrown;
      if (!wanted.document) {
        counters.add("engine.download.unstored");
        log.warn("store.refused", { name: wanted.name, error: errorText(thrown) });
      }
      return { bytes: new Unstored(hashes, thrown), unfinished: undefined };
    }
  }

  #hooks(wanted: Wanted, unfinished: Unfinished | undefined): DownloadHooks {
    const { archive, store, suspects, counters, log, swarm } = this.#components;
    let session: SwarmSession | undefined;
    let streamedBytes = 0;
    let streamedInSwarm = 0;
    return {
      onSwarmEnd: (ended) => {
        session = ended;
        streamedInSwarm = streamedBytes;
      },
      onReceived: (bytes) => {
        streamedBytes += bytes;
        counters.add("engine.bytes.fromMirror", bytes);
      },
      onMismatch: (digest) => {
        const verdict = suspects.strike(wanted.name, digest);
        const record = session?.record();
        session = undefined;
        const [expected] = wanted.expectations;
        if (record !== undefined && record.bytes.size > 0 && expected !== undefined) {
          swarm?.mismatch(expected.sha256, record);
        }
        for (const { sha256 } of wanted.expectations) suspects.note(sha256);
        counters.add(`engine.mismatch.${verdict}`);
        log.warn("mirror.mismatch", { name: wanted.name, got: digest, verdict });
        if (verdict === "pass" && wanted.whole === true) {
          // Whoever names a digest wants nothing else, whatever a mirror insists on.
          this.#givenUp.add(wanted);
          throw new AptP2pError("MISMATCH", `what comes has another digest, ${digest}`);
        }
        return verdict;
      },
      onWhole: (sha256, head, collected) => {
        if (sha256 !== undefined) {
          counters.add("engine.download.proven");
          const record = session?.record();
          swarm?.proven(sha256, record);
          // Single pieces are no part of the stream.
          const mirrorBytes =
            session === undefined
              ? streamedBytes
              : session.mirrorBytes + streamedBytes - streamedInSwarm;
          this.sources.brought({ name: wanted.name, sha256 }, mirrorBytes, session);
          unfinished?.commit(
            wanted.expectations.map((expectation) => expectation.sha256),
            {
              name: wanted.name,
              // If the mirror was not asked, peers know from where the file came.
              scope: scopeOf(head) ?? (session?.publicPeers === true ? "public" : "local"),
              ...(wanted.whole === true && { shared: true }),
              origin: (record?.bytes.size ?? 0) > 0 ? "peers" : "mirror",
              ...lastModified(head),
              ...mediaType(head),
            },
          );
          archive.learnFile(wanted.name, sha256, () =>
            collected === undefined ? storedBytes(store, sha256) : inMemory(collected),
          );
        } else if (collected !== undefined) {
          this.#learnDocument(wanted, head, collected);
        }
      },
    };
  }

  #learnDocument(wanted: Wanted, head: Head, bytes: Buffer): void {
    const { archive, documents, log, counters } = this.#components;
    counters.add("engine.document.learned");
    const failed = (thrown: unknown): void =>
      log.warn("document.failed", { name: wanted.name, error: errorText(thrown) });
    archive.learnDocument(wanted.name, bytes).catch(failed);
    // A login page in place of a Release must not become the copy that a later 304 stands for.
    const credible = CREDIBLE[classify(wanted.name).kind]?.test(bytes.toString("latin1")) === true;
    if (credible && wanted.headers["authorization"] === undefined) {
      documents.save(wanted.url, bytes, head.headers).catch(failed);
    }
  }

  async #run(
    key: string,
    work: {
      readonly running: Running;
      readonly wanted: Wanted;
      readonly unfinished: Unfinished | undefined;
    },
  ): Promise<void> {
    const { running, wanted, unfinished } = work;
    const outcome = await running.download.run();
    const mine = this.#running.get(key);
    const over = (): void => {
      if (running.sha256 !== undefined) this.#components.swarm?.ended(running.sha256);
    };
    const forget = (): void => {
      if (this.#running.get(key) === mine) this.#running.delete(key);
    };
    this.#live.delete(running);
    this.#logEnd(running, outcome);
    try {
      if (outcome.kind === "proven") {
        forget();
        await running.download.left();
        await unfinished?.release();
        // If it could not be stored, it is not here any more.
        over();
        return;
      }
      const { usesSink } = running.download;
      if (outcome.kind === "unproven" && usesSink) await running.download.left();
      const beginning = outcome.kind === "failed" || !usesSink;
      // Whoever asks from now on must not find this one's file still open; so it ends first.
      over();
      if (beginning && running.sha256 !== undefined) await unfinished?.suspend();
      else await unfinished?.discard();
      forget();
      const again = !this.#givenUp.delete(wanted) && !this.#closed;
      if (outcome.kind === "mismatch" && again) this.#refetch(key, wanted);
    } catch (thrown) {
      over();
      this.#components.log.error("store.failed", { name: wanted.name, error: errorText(thrown) });
    } finally {
      forget();
    }
  }

  /** The mirror gets a second chance at once, before apt comes back for it. */
  #refetch(key: string, wanted: Wanted): void {
    this.#components.counters.add("engine.download.refetched");
    this.#start(key, { ...wanted, start: 0 })
      .then((running) => {
        // If nobody comes back for it, it ends like any download that was left.
        running?.download.join();
        running?.download.leave();
      })
      .catch((thrown: unknown) => {
        const error = errorText(thrown);
        this.#components.log.warn("refetch.failed", { name: wanted.name, error });
      });
  }

  #logEnd({ name, download, startedMs }: Running, outcome: Outcome): void {
    const { log, clock, counters } = this.#components;
    counters.add(`engine.download.ended.${outcome.kind}`);
    log.debug("download.end", {
      name,
      outcome: outcome.kind,
      error: outcome.kind === "failed" ? errorText(outcome.error) : undefined,
      bytes: download.receivedBytes,
      ms: Math.round(clock.monotonicMs() - startedMs),
    });
  }
}

/** What a document of each kind contains, if it is one. */
const CREDIBLE: Readonly<Record<string, RegExp>> = {
  inrelease: /^(?:SHA256|SHA512):/m,
  release: /^(?:SHA256|SHA512):/m,
  "release-signature": /^-----BEGIN PGP SIGNATURE-----/m,
  sums: /^[0-9a-f]{64} [ *]/m,
  "sums-signature": /^-----BEGIN PGP SIGNATURE-----/m,
};

function isIndex(name: FileName): boolean {
  return classify(name).kind !== "file";
}

/** Bytes as the stream that a stored file would be. */
function inMemory(bytes: Buffer): Promise<AsyncIterable<Buffer>> {
  // eslint-disable-next-line @typescript-eslint/require-await -- a stream is what is asked for
  const stream = async function* (): AsyncGenerator<Buffer, void, undefined> {
    yield bytes;
  };
  return Promise.resolve(stream());
}

function originOf(url: string): string {
  return url.split("/", 3).join("/");
}

function unprovenKey({ url, headers }: Wanted): string {
  return `${url} ${JSON.stringify(headers)}`;
}

function lastModified(head: Head): { lastModified?: string } {
  const date = head.headers["last-modified"];
  return date === undefined ? {} : { lastModified: date };
}

function mediaType(head: Head): { contentType?: string } {
  const type = head.headers["content-type"];
  return type === undefined ? {} : { contentType: type };
}
