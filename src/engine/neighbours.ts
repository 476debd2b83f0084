/**
 * The machines of the own network, and peers that were useful lately: asked about every file, before
 * and beside the DHT.
 *
 * - Each neighbour's filter tells for a whole run of apt at once what it may have; the piece request
 *   is the proof. Beside it those that are most useful are asked by `/~/have`, all questions of one
 *   moment in one request, also for what they are just downloading.
 * - Who does not answer is asked less often, and waited for only once.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import type { Counters } from "../base/counters.ts";
import type { Endpoint } from "../base/endpoint.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Random } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { hour, minute, second } from "../base/units.ts";
import { Bloom, bloomBytes } from "../swarm/bloom.ts";
import { groupOf } from "../swarm/peer-book.ts";
import { encodeHaveQuestion, parseHoldings, wireBounds, type Holding } from "../swarm/peer-wire.ts";
import type { PeerInfo } from "../swarm/types.ts";
import { discardBody } from "./peer-requests.ts";
import type { PeerHttpResponse, PeerPort } from "./ports.ts";

export interface NeighboursParts {
  readonly peers: PeerPort;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
  readonly isNear: (address: string) => boolean;
}

export interface NeighbourStatus {
  readonly address: string;
  readonly near: boolean;
  /** Files that its filter counts; undefined: it has told none. */
  readonly files: number | undefined;
  readonly answeredAgoMs: number | undefined;
}

interface Neighbour {
  readonly endpoint: Endpoint;
  readonly near: boolean;
  filter: Bloom | undefined;
  etag: string | undefined;
  filterMs: number;
  asking: boolean;
  answeredMs: number | undefined;
  failures: number;
  /** Not asked before then. */
  restUntilMs: number;
  /** Files that it has helped with. */
  useful: number;
  question: Question | undefined;
}

/** Digests that are asked of one neighbour in the next request, and who wants to know. */
interface Question {
  readonly digests: Map<Sha256, ((holding: Holding | undefined) => void)[]>;
}

/** All are asked about a file if there are no more; else some. */
const askAll = 48;
const askSome = 16;
const askShort = 4;
/** A neighbour that is there answers within this time, and nobody is waited for longer. */
const answerMs = 150;
/** Requests of one moment (apt sends ten at once) go together. */
const gatherMs = 1;
/** With few neighbours a filter is asked for again after a second; with many, five of them in one. */
const filterOldMs = second;
const filterShareMs = second / 5;
const refreshMs = minute;
const restMs = 2 * second;
const mostRestMs = 10 * minute;
/** After so many failures in a row it is forgotten, unless it was configured. */
const mostFailures = 12;
const hopefulMs = hour;
/** Far peers that were useful are asked about further files: so many. */
const farPeers = 3;

export class Neighbours {
  readonly #parts: NeighboursParts;
  readonly #known = new BoundedMap<string, Neighbour>(limits.neighbours);
  readonly #far = new BoundedMap<string, Endpoint>(farPeers);
  readonly #closing = new AbortController();

  constructor(parts: NeighboursParts) {
    this.#parts = parts;
  }

  /** How many could be asked. */
  get count(): number {
    return this.#known.size + this.#far.size;
  }

  /** Somebody has answered lately: it is worth a moment to ask. */
  get hopeful(): boolean {
    const nowMs = this.#parts.clock.monotonicMs();
    for (const [, { answeredMs, restUntilMs }] of this.#known.entries()) {
      const lately = answeredMs !== undefined && nowMs - answeredMs < hopefulMs;
      if (lately && restUntilMs <= nowMs) return true;
    }
    return this.#far.size > 0;
  }

  mayHave(sha256: Sha256): boolean {
    for (const [, { filter }] of this.#known.entries()) {
      if (filter?.mayHave(sha256) === true) return true;
    }
    return false;
  }

  /** A machine of the own network that serves peers at `endpoint`. */
  learn(endpoint: Endpoint): void {
    if (this.#known.has(endpoint.text)) return;
    this.#parts.counters.add("swarm.neighbours.learned");
    const neighbour: Neighbour = {
      ...{ endpoint, near: this.#parts.isNear(endpoint.address), filter: undefined },
      ...{ etag: undefined, filterMs: -Infinity, asking: false, answeredMs: undefined },
      ...{ failures: 0, restUntilMs: 0, useful: 0, question: undefined },
    };
    this.#known.set(endpoint.text, neighbour);
    this.#refresh(neighbour);
  }

  /** It gave pieces of a file that is proven. */
  useful(endpoint: Endpoint): void {
    const neighbour = this.#known.get(endpoint.text);
    if (neighbour !== undefined) neighbour.useful++;
    else if (this.#parts.isNear(endpoint.address)) this.learn(endpoint);
    else this.#far.set(endpoint.text, endpoint);
  }

  /** See Finder.find. `done` is called within 150 ms. */
  find(
    sha256: Sha256,
    sizeBytes: number,
    events: {
      readonly peers: (peers: readonly PeerInfo[]) => void;
      readonly done: () => void;
    },
  ): { readonly cancel: () => void } {
    const { clock, counters } = this.#parts;
    let over = false;
    const finish = (): void => {
      if (over) return;
      over = true;
      cancelTimer();
      events.done();
    };
    const promised = new Set<string>();
    const named: PeerInfo[] = [];
    for (const [, neighbour] of this.#known.entries()) {
      const { filter, filterMs } = neighbour;
      if (clock.monotonicMs() - filterMs > this.#filterOldMs) this.#refresh(neighbour);
      if (filter?.mayHave(sha256) !== true || this.#rests(neighbour)) continue;
      promised.add(neighbour.endpoint.text);
      named.push(infoOf(neighbour, "whole"));
    }
    for (const [, endpoint] of this.#far.entries()) {
      const group = groupOf(endpoint.address, false);
      named.push({ endpoint, near: false, group, state: "unknown", via: "exchange" });
    }
    let pending = 1;
    const answered = (): void => {
      if (--pending === 0) finish();
    };
    const cancelTimer = clock.after(answerMs, finish);
    if (named.length > 0) {
      counters.add("swarm.found.promised", promised.size);
      // Never from inside the call: whoever asks has not got our answer yet.
      pending++;
      clock.after(0, () => {
        if (!over) events.peers(named);
        answered();
      });
    }
    for (const neighbour of this.#chosen(promised, sizeBytes)) {
      pending++;
      this.#ask(neighbour, sha256, (holding) => {
        if (!over && holding !== undefined && holding.have !== "no") {
          counters.add(`swarm.found.${holding.have}`);
          events.peers([infoOf(neighbour, holding.have === "whole" ? "whole" : "unknown")]);
        }
        answered();
      });
    }
    clock.after(0, answered);
    return {
      cancel: () => {
        over = true;
        cancelTimer();
      },
    };
  }

  status(): readonly NeighbourStatus[] {
    const nowMs = this.#parts.clock.monotonicMs();
    return [...this.#known.entries()].map(([, neighbour]) => {
      const { endpoint, near, filter, answeredMs } = neighbour;
      const files = filter === undefined ? undefined : Buffer.from(filter.bytes).readUInt32BE(4);
      const answeredAgoMs = answeredMs === undefined ? undefined : Math.round(nowMs - answeredMs);
      return { address: endpoint.text, near, files, answeredAgoMs };
    });
  }

  close(): void {
    this.#closing.abort();
  }

  /**
   * Whose answer is worth a request although its filter has said no: filters grow old, and tell
   * nothing of downloads. Of short files nobody downloads for long; there a new filter is enough.
   */
  #chosen(promised: ReadonlySet<string>, sizeBytes: number): Neighbour[] {
    const { random, clock } = this.#parts;
    const short = sizeBytes <= limits.pieceBytes;
    const sinceMs = clock.monotonicMs() - this.#filterOldMs;
    const able = [...this.#known.entries()]
      .map(([, neighbour]) => neighbour)
      .filter((each) => each.near && !promised.has(each.endpoint.text) && !this.#rests(each))
      .filter((each) => !short || each.filter === undefined || each.filterMs < sinceMs);
    if (able.length <= (short ? askShort : askAll)) return able;
    // The useful ones first; among equals whoever comes.
    const drawn = able.map((neighbour) => ({ neighbour, rank: neighbour.useful + random.next() }));
    drawn.sort((a, b) => b.rank - a.rank);
    return drawn.slice(0, short ? askShort : askSome).map(({ neighbour }) => neighbour);
  }

  get #filterOldMs(): number {
    return Math.max(filterOldMs, this.#known.size * filterShareMs);
  }

  #rests({ restUntilMs }: Neighbour): boolean {
    return this.#parts.clock.monotonicMs() < restUntilMs;
  }

  #ask(
    neighbour: Neighbour,
    sha256: Sha256,
    answered: (holding: Holding | undefined) => void,
  ): void {
    let { question } = neighbour;
    if (question === undefined || question.digests.size >= wireBounds.haveDigests) {
      question = { digests: new Map() };
      neighbour.question = question;
      const asked = question;
      this.#parts.clock.after(gatherMs, () => {
        if (neighbour.question === asked) neighbour.question = undefined;
        this.#send(neighbour, asked);
      });
    }
    const waiting = question.digests.get(sha256) ?? [];
    waiting.push(answered);
    question.digests.set(sha256, waiting);
  }

  #send(neighbour: Neighbour, { digests }: Question): void {
    const { counters } = this.#parts;
    const wanted = [...digests.keys()];
    counters.add("swarm.have.asked");
    const tell = (holdings: readonly Holding[] | undefined): void => {
      for (const [index, sha256] of wanted.entries()) {
        for (const answered of digests.get(sha256) ?? []) answered(holdings?.[index]);
      }
    };
    this.#request(neighbour, {
      ...{ method: "POST", path: "/~/have", headers: {}, patienceMs: second },
      body: encodeHaveQuestion(wanted),
    })
      .then(async (response) => {
        const bytes = response.status === 200 ? await readAll(response, wanted.length) : undefined;
        if (bytes === undefined) discardBody(response);
        const holdings = bytes === undefined ? undefined : parseHoldings(bytes, wanted.length);
        if (holdings === undefined) this.#failed(neighbour);
        else this.#answered(neighbour);
        tell(holdings);
      })
      .catch(() => {
        this.#failed(neighbour);
        tell(undefined);
      });
  }

  /** Asks for its filter, if it has another by now. */
  #refresh(neighbour: Neighbour): void {
    if (neighbour.asking || !neighbour.near || this.#closing.signal.aborted) return;
    if (this.#rests(neighbour)) return;
    neighbour.asking = true;
    const { etag } = neighbour;
    const headers: Record<string, string> = etag === undefined ? {} : { "if-none-match": etag };
    this.#request(neighbour, { method: "GET", path: "/~/filter", headers, patienceMs: 2 * second })
      .then((response) => this.#takeFilter(neighbour, response))
      .catch(() => this.#failed(neighbour))
      .finally(() => {
        neighbour.asking = false;
        neighbour.filterMs = this.#parts.clock.monotonicMs();
        this.#later(neighbour);
      });
  }

  /** What nobody asked about for a while is looked at now and then all the same. */
  #later(neighbour: Neighbour): void {
    const waitMs = Math.max(refreshMs, neighbour.restUntilMs - this.#parts.clock.monotonicMs());
    const filterMs = neighbour.filterMs;
    this.#parts.clock.after(waitMs * (1 + this.#parts.random.next() / 2), () => {
      const known = this.#known.get(neighbour.endpoint.text) === neighbour;
      if (known && neighbour.filterMs === filterMs) this.#refresh(neighbour);
    });
  }

  async #takeFilter(neighbour: Neighbour, response: PeerHttpResponse): Promise<void> {
    if (response.status !== 200) {
      discardBody(response);
      if (response.status === 304) this.#answered(neighbour);
      else this.#failed(neighbour);
      return;
    }
    const bytes = await readAll(response, bloomBytes);
    const filter = bytes === undefined ? undefined : Bloom.parse(bytes);
    if (filter === undefined) {
      this.#failed(neighbour);
      return;
    }
    this.#parts.counters.add("swarm.filters");
    neighbour.filter = filter;
    neighbour.etag = response.headers["etag"];
    this.#answered(neighbour);
  }

  #request(
    { endpoint, near }: Neighbour,
    request: Omit<Parameters<PeerPort["send"]>[0], "to" | "near">,
  ): Promise<PeerHttpResponse> {
    return this.#parts.peers.send({ ...request, to: endpoint, near }, this.#closing.signal);
  }

  #answered(neighbour: Neighbour): void {
    neighbour.answeredMs = this.#parts.clock.monotonicMs();
    neighbour.failures = 0;
  }

  #failed(neighbour: Neighbour): void {
    neighbour.failures++;
    const pauseMs = Math.min(mostRestMs, restMs * 2 ** (neighbour.failures - 1));
    neighbour.restUntilMs = this.#parts.clock.monotonicMs() + pauseMs;
    this.#parts.counters.add("swarm.neighbours.failed");
    if (neighbour.failures >= mostFailures) this.#known.delete(neighbour.endpoint.text);
  }
}

function infoOf({ endpoint, near }: Neighbour, state: PeerInfo["state"]): PeerInfo {
  const group = groupOf(endpoint.address, near);
  return { endpoint, near, group, state, via: "neighbour" };
}

/** undefined: longer than it may be. */
async function readAll({ body }: PeerHttpResponse, mostBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > mostBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
