/**
 * What other daemons get from this one (PROTOCOL.md, "Peers over HTTP"): ranges of files, lists of
 * their pieces, who else wants them, and which files there are.
 *
 * - What may not be shared is missing, whoever asks; what came from a private source is missing for
 *   whoever is not of the own network.
 * - Busy is not missing: every answer tells the load.
 */
import type { Endpoint } from "../base/endpoint.ts";
import { AptP2pError } from "../base/errors.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { StoredFile } from "../cache/types.ts";
import {
  encodeHoldings,
  encodeSwarm,
  formatLoad,
  parseHaveQuestion,
  wireBounds,
  type Holding,
} from "../swarm/peer-wire.ts";
import { PieceMap } from "../swarm/piece-map.ts";
import { shapeOf } from "../swarm/shape.ts";
import type { PeerState } from "../swarm/types.ts";
import { BufferBody } from "./body.ts";
import { textAnswer } from "./headers.ts";
import { HeldQuestions } from "./held-questions.ts";
import { newsHeader, NewsBody } from "./news.ts";
import { PeerAskers } from "./peer-askers.ts";
import { PeerFiles } from "./peer-files.ts";
import { PeerFilter } from "./peer-filter.ts";
import { askerEndpoint, peerRoute, type FileRoute } from "./peer-route.ts";
import type {
  Ask,
  Outcome,
  PeerAnswersParts,
  PeerAnswersSettings,
  PeerRequest,
  SharedDownload,
} from "./peer-types.ts";
import { Uploads } from "./peer-uploads.ts";
import type { Answer } from "./types.ts";

const refusals = {
  missing: { status: 404, text: "this is not here", headers: {} },
  busy: { status: 503, text: "others are served first", headers: {} },
  spent: { status: 503, text: "nothing for now", headers: { "retry-after": "60" } },
  forbidden: { status: 403, text: "this is for the own network", headers: {} },
  method: { status: 405, text: "this is asked otherwise", headers: { allow: "GET, HEAD, POST" } },
} as const;

export class PeerAnswers {
  readonly uploads: Uploads;
  readonly #parts: PeerAnswersParts;
  readonly #settings: PeerAnswersSettings;
  readonly #askers: PeerAskers;
  readonly #files: PeerFiles;
  readonly #filter: PeerFilter;
  readonly #held: HeldQuestions;

  constructor(parts: PeerAnswersParts, settings: PeerAnswersSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.uploads = new Uploads(parts);
    this.#askers = new PeerAskers(parts);
    this.#files = new PeerFiles(parts, this.uploads);
    this.#filter = new PeerFilter(parts);
    this.#held = new HeldQuestions(parts.clock);
  }

  /** Never rejects but with CLOSED when `signal` aborts, or STORAGE when the disk fails. */
  async answer(request: PeerRequest, signal: AbortSignal): Promise<Answer> {
    const { counters, isNear } = this.#parts;
    const address = request.remoteAddress;
    const ask = { who: { address, near: isNear(address) }, request, signal };
    const outcome = await this.#outcome(ask);
    const { what } = outcome;
    const answered = "status" in outcome ? what !== "bad" && what !== "sown" : what === "missing";
    counters.add(`peers.${answered ? "answered" : "refused"}.${what}`);
    return this.#answerOf(outcome, request.method === "HEAD");
  }

  #outcome(ask: Ask): Promise<Outcome> | Outcome {
    const { enabled, nearOnly } = this.#settings;
    if (!enabled) return { what: "missing" };
    if (nearOnly && !ask.who.near) return { what: "forbidden" };
    const route = peerRoute(ask.request.url);
    if (route === undefined) return { what: "missing" };
    const { method } = ask.request;
    const allowed =
      route.kind === "have" ? method === "POST" : method === "GET" || method === "HEAD";
    if (!allowed) return { what: "method" };
    return "sha256" in route ? this.#ofFile(ask, route) : this.#inNetwork(ask, route.kind);
  }

  #inNetwork(ask: Ask, kind: "have" | "filter"): Promise<Outcome> | Outcome {
    if (!ask.who.near) return { what: "forbidden" };
    const self = this.#asker(ask);
    if (kind === "have") return this.#have(ask, self);
    const { bytes, etag } = this.#filter.current();
    if (ask.request.headers["if-none-match"] === etag) {
      return { what: "filter", status: 304, headers: { etag } };
    }
    return { what: "filter", status: 200, headers: { etag }, body: bytes };
  }

  /** Who asks for what is on its way here wants it too. */
  async #have({ request, signal }: Ask, self: Endpoint | undefined): Promise<Outcome> {
    const { store, shared, unfinished } = this.#parts;
    const body = await request.readBody(wireBounds.haveDigests * 32);
    if (signal.aborted) throw new AptP2pError("CLOSED", "the peer has left");
    if (body === undefined) return { what: "bad", status: 413 };
    const digests = parseHaveQuestion(body);
    if (digests === undefined) return { what: "bad", status: 400 };
    const holdings = digests.map((sha256): Holding => {
      const file = store.find(sha256);
      if (file !== undefined && shared.mayGive(file, true)) {
        return { have: "whole", local: file.scope === "local" };
      }
      const share = unfinished(sha256);
      if (share === undefined) return { have: "no", local: false };
      if (self !== undefined) share.heard(self);
      return { have: "unfinished", local: share.scope !== "public" };
    });
    return { what: "have", status: 200, body: encodeHoldings(holdings) };
  }

  #ofFile(ask: Ask, route: FileRoute): Promise<Outcome> | Outcome {
    const { sha256 } = route;
    const file = this.#whole(ask, sha256);
    const share = file === undefined ? this.#unfinished(ask, sha256) : undefined;
    if (file === undefined && share === undefined) return { what: "missing" };
    if (this.#parts.crowded?.() === true) return { what: "busy" };
    const self = this.#asker(ask);
    if (self !== undefined) {
      this.#askers.note(sha256, self, ask.who.near);
      share?.heard(self);
    }
    switch (route.kind) {
      case "swarm":
        return this.#swarm(ask, route, self);
      case "pieces":
        return file === undefined ? { what: "missing" } : this.#pieces(ask, file);
      case "file":
        if (file !== undefined) return this.#files.whole(ask, file);
        return share === undefined
          ? { what: "missing" }
          : this.#files.unfinished(ask, sha256, share);
    }
  }

  async #pieces(ask: Ask, { sha256, sizeBytes }: StoredFile): Promise<Outcome> {
    if (shapeOf(sizeBytes).pieces === 1) {
      return { what: "pieces", status: 200, body: Buffer.from(sha256, "hex") };
    }
    // A long file takes a while to be read.
    const done = this.#held.begin(ask.who);
    if (done === undefined) return { what: "busy" };
    try {
      const body = await this.#files.list(sha256);
      return body === undefined ? { what: "missing" } : { what: "pieces", status: 200, body };
    } finally {
      done();
    }
  }

  async #swarm(
    ask: Ask,
    route: Extract<FileRoute, { kind: "swarm" }>,
    self: Endpoint | undefined,
  ): Promise<Outcome> {
    const { seen, waitMs } = route;
    const news = this.#news(ask, route, self);
    if (news !== undefined) return news;
    const before = this.#state(ask, route, self);
    if (before === undefined) return { what: "missing" };
    let state: PeerState | undefined = before;
    if (seen === before.have.count && waitMs > 0) {
      const share = this.#unfinished(ask, route.sha256);
      await this.#held.wait(ask, waitMs, (news) => share?.changed(news) ?? ((): void => undefined));
      state = this.#state(ask, route, self);
    }
    if (state === undefined) return { what: "missing" };
    const body = encodeSwarm(state);
    return body.length > wireBounds.swarmBytes
      ? { what: "missing" }
      : { what: "swarm", status: 200, body };
  }

  /** Goes on telling of a file that is on its way here; undefined: it is not, or too many are told. */
  #news(
    ask: Ask,
    route: Extract<FileRoute, { kind: "swarm" }>,
    self: Endpoint | undefined,
  ): Outcome | undefined {
    const { everyMs, sha256 } = route;
    if (everyMs === undefined || ask.request.method !== "GET") return undefined;
    if (this.#whole(ask, sha256) !== undefined) return undefined;
    const share = this.#unfinished(ask, sha256);
    const over = share === undefined ? undefined : this.#held.begin(ask.who);
    if (share === undefined || over === undefined) return undefined;
    const { clock, counters, gate } = this.#parts;
    let { names } = route;
    const body = new NewsBody(clock, everyMs, {
      ...{ over, whole: () => share.have.whole, listen: (changed) => share.changed(changed) },
      state: () => {
        counters.add("peers.news");
        const state = this.#state(ask, { sha256, names }, self);
        // Whom it knows changes slowly.
        names = false;
        return state && { bytes: encodeSwarm(state, gate.load()), last: state.have.whole };
      },
    });
    return { what: "swarm", status: 200, headers: { [newsHeader]: `${everyMs}` }, body };
  }

  #state(
    ask: Ask,
    { sha256, names }: { readonly sha256: Sha256; readonly names: boolean },
    self: Endpoint | undefined,
  ): PeerState | undefined {
    const file = this.#whole(ask, sha256);
    const share = file === undefined ? this.#unfinished(ask, sha256) : undefined;
    const sizeBytes = file?.sizeBytes ?? share?.sizeBytes ?? 0;
    if (sizeBytes < 1) return undefined;
    const peers = names ? this.#others(ask, sha256, self, share) : [];
    if (share === undefined) {
      const have = PieceMap.full(shapeOf(sizeBytes).pieces);
      const sown = this.#files.sowings.sown(sha256);
      return { sizeBytes, have, fetching: undefined, sown, peers };
    }
    const { have, fetching, hearsay, ticket } = share;
    return { sizeBytes, have, fetching, hearsay, ticket, peers };
  }

  #others(
    { who }: Ask,
    sha256: Sha256,
    self: Endpoint | undefined,
    share: SharedDownload | undefined,
  ): readonly Endpoint[] {
    const sampling = { more: share?.peers() ?? [], most: wireBounds.swarmPeers };
    return this.#askers.sample(sha256, { ...who, self }, sampling);
  }

  #whole({ who }: Ask, sha256: Sha256): StoredFile | undefined {
    const file = this.#parts.store.find(sha256);
    return file !== undefined && this.#parts.shared.mayGive(file, who.near) ? file : undefined;
  }

  #unfinished({ who }: Ask, sha256: Sha256): SharedDownload | undefined {
    const share = this.#parts.unfinished(sha256);
    return share !== undefined && (who.near || share.scope === "public") ? share : undefined;
  }

  /** Where the asker serves peers itself. */
  #asker({ who, request }: Ask): Endpoint | undefined {
    const self = askerEndpoint(who.address, request.headers["apt-p2p-port"]);
    if (self !== undefined && who.near) this.#parts.heard(self);
    return self;
  }

  #answerOf(outcome: Outcome, head: boolean): Answer {
    const load = { "apt-p2p-load": formatLoad(this.#parts.gate.load()) };
    if (!("status" in outcome)) {
      const { status, text, headers } = refusals[outcome.what];
      const answer = textAnswer(status, text);
      const body = head ? undefined : answer.body;
      const retry = outcome.what === "busy" && {
        "retry-after": `${this.#parts.gate.retryAfterS}`,
      };
      return { ...answer, headers: { ...answer.headers, ...headers, ...retry, ...load }, body };
    }
    const { status, headers, body } = outcome;
    const bytes = body instanceof Uint8Array ? body : undefined;
    const given = body instanceof Uint8Array ? new BufferBody(bufferOf(body)) : body;
    return {
      status,
      headers: {
        ...(bytes !== undefined && { "content-type": "application/octet-stream" }),
        ...(bytes !== undefined && { "content-length": `${bytes.length}` }),
        ...(body === undefined && status !== 304 && { "content-length": "0" }),
        ...headers,
        ...load,
      },
      body: head ? undefined : given,
      ...{ origin: "none", known: true },
    };
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
