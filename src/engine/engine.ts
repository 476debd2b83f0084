/**
 * One request in, one answer out: what must this URL have (archive), do we hold it (store), is it on
 * its way already (a shared download), and else from the mirror. Decides everything; touches nothing
 * but its ports.
 */
import type { Archive } from "../archive/archive.ts";
import { classify } from "../archive/classify.ts";
import type { Expectation, FileKind, FileName } from "../archive/types.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Counters } from "../base/counters.ts";
import type { Clock, Hashes, Log } from "../base/ports.ts";
import type { Files, KeyValue } from "../base/storage.ts";
import type { Store } from "../cache/store.ts";
import { BufferBody, FileBody, StreamBody } from "./body.ts";
import { rangeStart, select, type Validators } from "./conditional.ts";
import { Documents } from "./documents.ts";
import type { Head } from "./download-plan.ts";
import { Downloads, type Running } from "./downloads.ts";
import {
  answeredHeaders,
  askedHeaders,
  CONDITIONS,
  contentType,
  provenValidators,
  storedType,
  textAnswer,
} from "./headers.ts";
import type { Mirror } from "./ports.ts";
import { Suspects } from "./suspects.ts";
import type { Swarm } from "./swarm.ts";
import { hostOf, urlOf } from "./target.ts";
import type { Answer, ClientRequest, Origin, Target } from "./types.ts";
import { until } from "./waiting.ts";

export interface EngineComponents {
  readonly archive: Archive;
  readonly store: Store;
  readonly mirror: Mirror;
  readonly kv: KeyValue;
  readonly files: Files;
  readonly hashes: Hashes;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  /** undefined: nothing comes from peers. */
  readonly swarm?: Swarm | undefined;
}

/** Read at each use. */
export interface EngineSettings {
  /** Hosts that are fetched with https although asked for with http. */
  readonly httpsHosts: readonly string[];
  /** Answer with the last copy of a Release when the mirror cannot be reached. */
  readonly serveStale: boolean;
  readonly documentsDirectory: string;
  /** This daemon's name in Via headers: a request that bears it has come round. */
  readonly pseudonym: string;
}

const DOCUMENTS: ReadonlySet<FileKind["kind"]> = new Set([
  "inrelease",
  "release",
  "release-signature",
  "sums",
  "sums-signature",
]);

export class Engine {
  readonly #components: EngineComponents;
  readonly #settings: EngineSettings;
  readonly #documents: Documents;
  readonly #suspects: Suspects;
  readonly #downloads: Downloads;

  constructor(components: EngineComponents, settings: EngineSettings) {
    this.#components = components;
    this.#settings = settings;
    this.#documents = new Documents(components, settings.documentsDirectory);
    this.#suspects = new Suspects(components.clock);
    this.#downloads = new Downloads({
      ...components,
      documents: this.#documents,
      suspects: this.#suspects,
      swarm: components.swarm,
    });
  }

  /** All downloads, for those who serve their beginnings, or want a file by its digest. */
  get transfers(): Downloads {
    return this.#downloads;
  }

  /** Downloads under way, for status. */
  downloads(): ReturnType<Downloads["snapshot"]> {
    return this.#downloads.snapshot();
  }

  /** Ends all transfers; what has arrived is kept for the next start. */
  async close(): Promise<void> {
    await this.#downloads.close();
  }

  /**
   * Never rejects but with CLOSED when `signal` (the client's presence) aborts. Failures are answers:
   * what apt would have seen of the mirror, or 502 with the reason.
   */
  async answer(request: ClientRequest, signal: AbortSignal): Promise<Answer> {
    const { counters } = this.#components;
    if (request.headers["via"]?.includes(this.#settings.pseudonym) === true) {
      counters.add("engine.loop");
      return textAnswer(508, "apt-p2p was asked by itself; check the proxy settings");
    }
    try {
      const { name } = request.target;
      if (name === undefined) return await this.#relay(request, signal);
      const answer = await this.#answerNamed(request, name, signal);
      const holdsUp = DOCUMENTS.has(classify(name).kind) && isTransient(answer);
      return request.prefixed && holdsUp ? this.#sentOn(request, answer) : answer;
    } catch (thrown) {
      if (signal.aborted) throw new AptP2pError("CLOSED", "the client has left");
      if (await this.#newlyNamed(request.target, thrown)) return this.answer(request, signal);
      const answer = this.#failure(request, thrown);
      return request.prefixed && isTransient(answer) ? this.#sentOn(request, answer) : answer;
    }
  }

  /**
   * A failure that apt would try again later, it tries at the mirror itself if the URL can be told
   * apart from the mirror's. apt has one queue for each host; with the prefix all mirrors are one
   * host, and in apt 2.6 a Release that waits for its retry can hold up all the rest for ever.
   */
  #sentOn(request: ClientRequest, answer: Answer): Answer {
    this.#components.counters.add("engine.sentOn");
    answer.body?.close();
    const url = this.#url(request.target);
    const moved = textAnswer(302, answer.reason ?? `the mirror answered ${answer.status}`);
    return { ...moved, headers: { ...moved.headers, location: url } };
  }

  /** A host refused for its address may stand in apt's sources since a moment ago. */
  async #newlyNamed(target: Target, thrown: unknown): Promise<boolean> {
    if (!(thrown instanceof AptP2pError) || thrown.code !== "FORBIDDEN") return false;
    const { archive } = this.#components;
    const host = hostOf(target.authority);
    if (archive.hostsOfSources().has(host)) return false;
    await archive.refreshSources();
    return archive.hostsOfSources().has(host);
  }

  async #answerNamed(request: ClientRequest, name: FileName, signal: AbortSignal): Promise<Answer> {
    const kind = classify(name);
    const expectations = await this.#expectations(name, kind);
    this.#countKnown(name, kind, expectations);
    const held = await this.#fromStore(request, name, expectations[0]);
    if (held !== undefined) return held;
    if (request.method === "HEAD") return this.#relay(request, signal);
    const partial = request.headers["range"] !== undefined;
    if (expectations.length === 0 && partial) return this.#relay(request, signal);
    return this.#download(request, name, { kind, expectations, signal });
  }

  /** What the bytes must be; waits for what is being read, and looks into apt's lists if need be. */
  async #expectations(name: FileName, kind: FileKind): Promise<readonly Expectation[]> {
    const { archive } = this.#components;
    if (DOCUMENTS.has(kind.kind)) return [];
    // A plain index name means the newest Release's content: wait for that one to be read.
    const waits = kind.kind === "index" || kind.kind === "diff-index";
    if (waits) await archive.settled(name);
    let expectations = archive.expectations(name);
    if (expectations.length > 0) return expectations;
    if (!waits) await archive.settled(name);
    expectations = archive.expectations(name);
    if (expectations.length > 0 || !(await archive.listsChanged())) return expectations;
    this.#components.counters.add("engine.listsRefreshed");
    archive.refreshLists().catch((thrown: unknown) => {
      this.#components.log.warn("lists.failed", { error: errorText(thrown) });
    });
    await archive.settled(name);
    return archive.expectations(name);
  }

  #countKnown(name: FileName, kind: FileKind, expectations: readonly Expectation[]): void {
    const group = name.endsWith(".deb")
      ? "deb"
      : kind.kind === "by-hash" || DOCUMENTS.has(kind.kind)
        ? kind.kind
        : "other";
    const known = expectations.length > 0 ? "known" : "unknown";
    this.#components.counters.add(`engine.${known}.${group}`);
  }

  async #fromStore(
    request: ClientRequest,
    name: FileName,
    expectation: Expectation | undefined,
  ): Promise<Answer | undefined> {
    const { store, counters } = this.#components;
    if (expectation === undefined || store.find(expectation.sha256) === undefined) return undefined;
    const opened = await store.open(expectation.sha256);
    if (opened === undefined) return undefined;
    const { file, handle } = opened;
    store.nameAs(file.sha256, name);
    counters.add("engine.answered.cache");
    const validators = provenValidators(file.sha256, file.lastModified);
    const part = this.#select(request, validators, file.sizeBytes);
    const headers = provenHeaders(validators, storedType(file), part, file.sizeBytes);
    const answer = { status: part.status, headers, origin: "cache", known: true } as const;
    if (part.status >= 300 || request.method === "HEAD") {
      handle.close().catch(() => undefined);
      return { ...answer, body: undefined };
    }
    const end = part.end ?? file.sizeBytes;
    this.#downloads.sources.fromCache(name, file.sha256, end - part.start);
    return { ...answer, body: new FileBody(handle, part.start, end) };
  }

  /** A client that may hold a wrong beginning gets the whole. */
  #select(request: ClientRequest, validators: Validators, sizeBytes: number): Part {
    const { range, ...others } = request.headers;
    const name = request.target.name;
    const wrongBeginning = range !== undefined && this.#mayHoldWrong(name);
    if (wrongBeginning) this.#components.counters.add("engine.rangeRefused");
    const selection = select(wrongBeginning ? others : request.headers, validators, sizeBytes);
    switch (selection.kind) {
      case "whole":
        return { status: 200, start: 0, end: sizeBytes };
      case "part":
        return { status: 206, start: selection.start, end: selection.end };
      case "not-modified":
        return { status: 304, start: 0, end: 0 };
      case "unsatisfiable":
        return { status: 416, start: 0, end: 0 };
    }
  }

  async #download(
    request: ClientRequest,
    name: FileName,
    work: {
      readonly kind: FileKind;
      readonly expectations: readonly Expectation[];
      readonly signal: AbortSignal;
    },
  ): Promise<Answer> {
    const { expectations, signal } = work;
    const document = DOCUMENTS.has(work.kind.kind);
    const headers = askedHeaders(request.headers, {
      conditions: expectations.length === 0,
      partial: false,
    });
    const url = this.#url(request.target);
    const revalidates = document && this.#addValidators(url, headers);
    const got = await this.#downloads.get({
      name,
      url,
      expectations,
      headers,
      document,
      start: rangeStart(request.headers["range"]) ?? 0,
    });
    if (got === undefined) {
      const held = await this.#fromStore(request, name, expectations[0]);
      return held ?? this.#relay(request, signal);
    }
    const { running, shared } = got;
    try {
      const head = await until(running.download.head(), signal);
      if (revalidates && head.status === 304) {
        const copy = await this.#copy(url, "mirror");
        if (copy === undefined) await this.#documents.forget(url);
        running.download.leave();
        return copy ?? (await this.#download(request, name, work));
      }
      return this.#fromDownload(request, running, head, shared ? "shared" : sourceOf(head));
    } catch (thrown) {
      running.download.leave();
      if (signal.aborted || !document || !this.#settings.serveStale) throw thrown;
      const copy = await this.#copy(url, "stale");
      if (copy === undefined) throw thrown;
      return copy;
    }
  }

  #fromDownload(request: ClientRequest, running: Running, head: Head, origin: Origin): Answer {
    const { download, sha256, name } = running;
    const { counters } = this.#components;
    if (sha256 === undefined || !download.provable) {
      counters.add("engine.answered.unproven");
      const size = head.sizeBytes;
      const bodyless = head.status === 304 || head.status === 204;
      const headers = {
        ...answeredHeaders(head.headers),
        ...(size !== undefined && !bodyless && { "content-length": `${size}` }),
      };
      if (bodyless) download.leave();
      const body = bodyless ? undefined : download.body(0, undefined);
      return { status: head.status, headers, body, origin: "unproven", known: false };
    }
    counters.add(`engine.answered.${origin}`);
    const proven = provenValidators(sha256, head.headers["last-modified"]);
    const validators = running.ambiguous ? { ...proven, etag: undefined } : proven;
    const type = contentType(name, head.headers["content-type"]);
    const size = head.sizeBytes;
    const part: Part =
      size === undefined
        ? { status: 200, start: 0, end: undefined }
        : this.#select(request, validators, size);
    const answer = {
      status: part.status,
      headers: provenHeaders(validators, type, part, size),
      origin,
      known: true,
    };
    if (part.status >= 300) {
      download.leave();
      return { ...answer, body: undefined };
    }
    return { ...answer, body: download.body(part.start, part.end) };
  }

  #mayHoldWrong(name: FileName | undefined): boolean {
    if (name === undefined) return false;
    if (this.#suspects.has(name)) return true;
    const expectations = this.#components.archive.expectations(name);
    return expectations.some(({ sha256 }) => this.#suspects.has(sha256));
  }

  /** Passes the request on, and the answer back, as they are. */
  async #relay(request: ClientRequest, signal: AbortSignal): Promise<Answer> {
    const { mirror, counters } = this.#components;
    counters.add("engine.answered.relayed");
    const partial = !this.#mayHoldWrong(request.target.name);
    const headers = askedHeaders(request.headers, { conditions: true, partial });
    const url = this.#url(request.target);
    const { method } = request;
    const response = await mirror.fetch({ method, url, headers, urgent: false }, signal);
    const length = response.headers["content-length"];
    const range = response.headers["content-range"];
    const bodyless = request.method === "HEAD" || response.status === 304;
    const body = new StreamBody(response.body, (count) =>
      counters.add("engine.bytes.fromMirror", count),
    );
    if (bodyless) body.close();
    return {
      status: response.status,
      headers: {
        ...answeredHeaders(response.headers),
        ...(length !== undefined && { "content-length": length }),
        ...(range !== undefined && { "content-range": range }),
      },
      body: bodyless ? undefined : body,
      origin: "unproven",
      known: false,
    };
  }

  /** Lets the mirror answer 304 on behalf of our copy, unless the client has one itself. */
  #addValidators(url: string, headers: Record<string, string>): boolean {
    const conditional = CONDITIONS.some((condition) => headers[condition] !== undefined);
    const forced = headers["cache-control"]?.includes("no-cache") === true;
    if (conditional || forced || headers["authorization"] !== undefined) return false;
    const facts = this.#documents.facts(url);
    if (facts?.etag !== undefined) headers["if-none-match"] = facts.etag;
    if (facts?.lastModified !== undefined) headers["if-modified-since"] = facts.lastModified;
    return facts?.etag !== undefined || facts?.lastModified !== undefined;
  }

  async #copy(url: string, why: "mirror" | "stale"): Promise<Answer | undefined> {
    const facts = this.#documents.facts(url);
    const bytes = await this.#documents.read(url);
    if (facts === undefined || bytes === undefined) return undefined;
    this.#components.counters.add(`engine.answered.document.${why}`);
    return {
      status: 200,
      headers: {
        "content-type": facts.contentType ?? "text/plain",
        "content-length": `${bytes.length}`,
        ...(facts.lastModified !== undefined && { "last-modified": facts.lastModified }),
        ...(facts.etag !== undefined && { etag: facts.etag }),
      },
      body: new BufferBody(bytes),
      origin: "document",
      known: false,
    };
  }

  #failure(request: ClientRequest, thrown: unknown): Answer {
    const { counters, log } = this.#components;
    const { authority, path } = request.target;
    const text = errorText(thrown);
    log.warn("request.failed", { host: authority, path, error: text });
    if (thrown instanceof AptP2pError && thrown.code === "FORBIDDEN") {
      counters.add("engine.forbidden");
      return textAnswer(403, thrown.message);
    }
    counters.add("engine.failed");
    return textAnswer(502, thrown instanceof AptP2pError ? thrown.message : text);
  }

  /** Read each time: settings may change while the daemon runs. */
  #isHttpsHost(authority: string): boolean {
    return this.#settings.httpsHosts.some((host) => host.toLowerCase() === authority);
  }

  #url(target: Target): string {
    const upgraded = target.scheme === "http" && this.#isHttpsHost(target.authority);
    return urlOf(target, upgraded ? "https" : target.scheme);
  }
}

function sourceOf({ peers }: Head): Origin {
  return peers === true ? "peers" : "mirror";
}

/** Whether apt will try again: it does so only if there is a body. */
function isTransient({ status, headers }: Answer): boolean {
  return (
    (status === 408 || status === 429 || (status >= 500 && status !== 508)) &&
    headers["content-length"] !== "0"
  );
}

interface Part {
  readonly status: 200 | 206 | 304 | 416;
  readonly start: number;
  readonly end: number | undefined;
}

function provenHeaders(
  validators: Validators & { readonly lastModified: string },
  type: string,
  part: Part,
  sizeBytes: number | undefined,
): Record<string, string> {
  const { status, start, end } = part;
  return {
    "last-modified": validators.lastModified,
    "accept-ranges": "bytes",
    ...(validators.etag !== undefined && { etag: validators.etag }),
    ...(status < 300 && { "content-type": type }),
    ...(status < 300 && end !== undefined && { "content-length": `${end - start}` }),
    ...(status === 206 && {
      "content-range": `bytes ${start}-${(end ?? 0) - 1}/${sizeBytes ?? "*"}`,
    }),
    ...(status === 416 && {
      "content-range": `bytes */${sizeBytes ?? "*"}`,
      "content-length": "0",
    }),
  };
}
