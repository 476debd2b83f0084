/**
 * One machine of the own network: its filter, the questions to it, and how far it is to be relied on.
 *
 * - Who fails to answer rests: it is neither asked nor named, for longer each time.
 * - Who answers late is not waited for, for a while; no question of a later file until the late answer
 *   is here.
 * - Every request has a deadline for its whole answer: one that trickles holds nothing for long.
 */
import type { Counters } from "../base/counters.ts";
import type { Endpoint } from "../base/endpoint.ts";
import type { Clock, Random } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { minute, second } from "../base/units.ts";
import { Bloom, bloomBytes } from "../swarm/bloom.ts";
import { encodeHaveQuestion, parseHoldings, wireBounds, type Holding } from "../swarm/peer-wire.ts";
import { discardBody, readAll } from "./peer-requests.ts";
import type { PeerHttpRequest, PeerHttpResponse, PeerPort } from "./ports.ts";

export interface NeighbourParts {
  readonly peers: PeerPort;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
}

export interface NeighbourTraits {
  readonly endpoint: Endpoint;
  readonly near: boolean;
  /** Named in the configuration: it is never forgotten. */
  readonly configured: boolean;
}

type Told = (holding: Holding | undefined) => void;

/** Digests that are asked in the next request, and who wants to know. */
type Question = Map<Sha256, Told[]>;

/** A neighbour that is there answers within this time, and nobody is waited for longer. */
export const answerMs = 150;
/** Requests of one moment (apt sends ten at once) go together. */
const gatherMs = 1;
/** Whole answers: a moment for a question, and for 64 KiB on a slow wireless link some seconds. */
const questionMs = second;
const filterMs = 5 * second;
/** Without a question its filter is asked for now and then all the same. */
const idleRefreshMs = minute;
/** Pauses after failures and after late answers: the first, doubled each time, and the longest. */
const restMs = 2 * second;
const mostRestMs = 10 * minute;
const mostQuietMs = minute;
/** Who is heard again rests no longer than this after its failure: it may have started anew. */
const heardRestMs = 30 * second;
/** A filter that takes more than this share of all digests for held promises nothing. */
const mostFalseShare = 0.1;

export class Neighbour {
  readonly traits: NeighbourTraits;
  /** Files that it has helped with. */
  useful = 0;
  readonly #parts: NeighbourParts;
  readonly #open = new Set<{ readonly startedMs: number; readonly abort: AbortController }>();
  #closed = false;
  #filter: Bloom | undefined;
  #etag: string | undefined;
  #refreshedMs = -Infinity;
  #refreshing: (() => void)[] | undefined;
  #question: Question | undefined;
  #answeredMs: number | undefined;
  #rttMs: number | undefined;
  #failures = 0;
  #failedMs = -Infinity;
  #restUntilMs = -Infinity;
  #late = 0;
  #quietUntilMs = -Infinity;
  #cancelRefresh: () => void = () => undefined;

  constructor(parts: NeighbourParts, traits: NeighbourTraits) {
    this.#parts = parts;
    this.traits = traits;
  }

  get key(): string {
    return this.traits.endpoint.text;
  }

  /** When it last answered; undefined: never. */
  get answeredMs(): number | undefined {
    return this.#answeredMs;
  }

  /** From question to answer, the last time. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** In a row. */
  get failures(): number {
    return this.#failures;
  }

  /** Files that its filter counts; undefined: it has told none. */
  get files(): number | undefined {
    return this.#filter?.entries;
  }

  /** It has failed lately: neither asked nor named. */
  get rests(): boolean {
    return this.#nowMs() < this.#restUntilMs;
  }

  /** It can be asked. */
  get able(): boolean {
    if (this.rests) return false;
    const [oldest] = this.#open;
    return oldest === undefined || this.#nowMs() - oldest.startedMs <= answerMs;
  }

  /** It can be asked, and is worth waiting for. */
  get prompt(): boolean {
    return this.able && this.#nowMs() >= this.#quietUntilMs;
  }

  /** It has answered after that time, or is being asked for the first time. */
  answers(sinceMs: number): boolean {
    if (!this.prompt) return false;
    if (this.#answeredMs !== undefined) return this.#answeredMs > sinceMs;
    return this.#failures === 0 && this.#open.size > 0;
  }

  /** Its filter tells something. */
  get filters(): boolean {
    return this.#filter !== undefined && this.#filter.falseShare <= mostFalseShare;
  }

  /** How old its filter's last confirmation is. */
  get filterAgeMs(): number {
    return this.#nowMs() - this.#refreshedMs;
  }

  /** Its filter says that it may have the file. */
  promises(sha256: Sha256): boolean {
    return !this.rests && this.filters && this.#filter?.mayHave(sha256) === true;
  }

  /** It was heard of again. */
  heard(): void {
    if (this.#failures === 0) return;
    this.#restUntilMs = Math.min(this.#restUntilMs, this.#failedMs + heardRestMs);
    // Does nothing while it still rests.
    this.refresh();
  }

  /** Asks for its filter, if it has another by now. `told` is called when that is over. */
  refresh(told?: () => void): void {
    if (this.#refreshing !== undefined) {
      if (told !== undefined) this.#refreshing.push(told);
      return;
    }
    if (this.#closed || !this.traits.near || this.rests) {
      told?.();
      return;
    }
    const waiting = told === undefined ? [] : [told];
    this.#refreshing = waiting;
    const headers: Record<string, string> = {};
    if (this.#etag !== undefined) headers["if-none-match"] = this.#etag;
    const request = { method: "GET", path: "/~/filter", headers, patienceMs: 2 * second } as const;
    void this.#request(request, filterMs, (response) => this.#readFilter(response)).then(() => {
      this.#refreshing = undefined;
      this.#refreshedMs = this.#nowMs();
      this.#refreshLater();
      for (const each of waiting) each();
    });
  }

  /** Asks whether it has the file, together with what else is asked in this moment. */
  ask(sha256: Sha256, told: Told): void {
    let question = this.#question;
    if (question === undefined || question.size >= wireBounds.haveDigests) {
      question = new Map();
      this.#question = question;
      const asked = question;
      this.#parts.clock.after(gatherMs, () => {
        if (this.#question === asked) this.#question = undefined;
        this.#send(asked);
      });
    }
    const waiting = question.get(sha256) ?? [];
    waiting.push(told);
    question.set(sha256, waiting);
  }

  close(): void {
    this.#closed = true;
    this.#cancelRefresh();
    for (const { abort } of this.#open) abort.abort();
  }

  #send(question: Question): void {
    this.#parts.counters.add("swarm.have.asked");
    const wanted = [...question.keys()];
    let holdings: readonly Holding[] | undefined;
    const body = encodeHaveQuestion(wanted);
    const request = {
      ...({ method: "POST", path: "/~/have", headers: {} } as const),
      ...{ body, patienceMs: questionMs },
    };
    void this.#request(request, questionMs, async (response) => {
      const bytes = response.status === 200 ? await readAll(response, wanted.length) : undefined;
      holdings = bytes === undefined ? undefined : parseHoldings(bytes, wanted.length);
      return holdings !== undefined;
    }).then(() => {
      for (const [index, sha256] of wanted.entries()) {
        for (const told of question.get(sha256) ?? []) told(holdings?.[index]);
      }
    });
  }

  async #readFilter(response: PeerHttpResponse): Promise<boolean> {
    if (response.status === 304) return this.#etag !== undefined;
    const bytes = response.status === 200 ? await readAll(response, bloomBytes) : undefined;
    const filter = bytes === undefined ? undefined : Bloom.parse(bytes);
    if (filter === undefined) return false;
    this.#parts.counters.add("swarm.filters");
    this.#filter = filter;
    this.#etag = response.headers["etag"];
    return true;
  }

  /**
   * Sends a request and takes its measure. `read` says whether the answer is what was asked for.
   * Never rejects.
   */
  async #request(
    request: Omit<PeerHttpRequest, "to" | "near">,
    deadlineMs: number,
    read: (response: PeerHttpResponse) => Promise<boolean>,
  ): Promise<void> {
    const { clock, peers } = this.#parts;
    const { endpoint, near } = this.traits;
    const open = { startedMs: clock.monotonicMs(), abort: new AbortController() };
    this.#open.add(open);
    const cancelDeadline = clock.after(deadlineMs, () => open.abort.abort());
    let good = false;
    try {
      const response = await peers.send({ ...request, to: endpoint, near }, open.abort.signal);
      good = await read(response);
      // What was read to its end stays as it is.
      discardBody(response);
    } catch {
      // No connection, or it was cut, or the deadline is over: which of them does not matter.
    }
    cancelDeadline();
    this.#open.delete(open);
    if (this.#closed) return;
    if (good) this.#answered(open.startedMs);
    // What was under way when another request failed says nothing new.
    else if (open.startedMs >= this.#failedMs) this.#failed();
  }

  #answered(startedMs: number): void {
    const nowMs = this.#nowMs();
    this.#answeredMs = nowMs;
    this.#rttMs = nowMs - startedMs;
    this.#failures = 0;
    this.#restUntilMs = -Infinity;
    if (this.#rttMs <= answerMs) {
      this.#late = 0;
      return;
    }
    const pauseMs = Math.min(mostQuietMs, restMs * 2 ** this.#late);
    this.#late++;
    this.#quietUntilMs = nowMs + pauseMs;
    this.#parts.counters.add("swarm.neighbours.late");
  }

  #failed(): void {
    this.#failedMs = this.#nowMs();
    this.#restUntilMs = this.#failedMs + Math.min(mostRestMs, restMs * 2 ** this.#failures);
    this.#failures++;
    this.#parts.counters.add("swarm.neighbours.failed");
  }

  #refreshLater(): void {
    this.#cancelRefresh();
    if (this.#closed) return;
    // Who was not there yet may be a moment later.
    const waitMs = this.rests ? this.#restUntilMs - this.#nowMs() : idleRefreshMs;
    const jitter = 1 + this.#parts.random.next() / 2;
    this.#cancelRefresh = this.#parts.clock.after(waitMs * jitter, () => this.refresh());
  }

  #nowMs(): number {
    return this.#parts.clock.monotonicMs();
  }
}
