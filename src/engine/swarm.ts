/**
 * The swarm as downloads see it: opens a session for each file that peers may have, finds the peers
 * for it, and in the end has those banned that lied.
 */
import { parseEndpoint, type Endpoint } from "../base/endpoint.ts";
import { BoundedMap } from "../base/bounded-map.ts";
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { second } from "../base/units.ts";
import type { Log } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Bans } from "../swarm/bans.ts";
import { liarsOf, truthOf, type TransferRecord } from "../swarm/blame.ts";
import type { Patience, Wait } from "../swarm/patience.ts";
import { defaultPolicy } from "../swarm/policy.ts";
import type { PeerInfo } from "../swarm/types.ts";
import type { Finder } from "./finder.ts";
import { Probation } from "./probation.ts";
import { enoughPeers, Search } from "./search.ts";
import { SwarmSession, type SessionParts, type SessionPlan } from "./swarm-session.ts";

export interface SwarmComponents extends SessionParts {
  readonly log: Log;
  readonly finder: Finder;
  readonly bans: Bans;
  readonly patience: Patience;
  /** True: no new sessions just now, there is no room for what they hold. */
  readonly crowded?: () => boolean;
  /** SHA-256 of all pieces of a whole file of the store; undefined: it is not there. */
  readonly pieceHashes: (sha256: Sha256) => Promise<Buffer | undefined>;
  /** Says in the DHT that a part of the file is here, or is not any more. */
  readonly announce: {
    readonly unfinished: (sha256: Sha256, sizeBytes: number) => void;
    readonly ended: (sha256: Sha256) => void;
  };
}

export type SwarmPlan = Omit<SessionPlan, "patienceMs" | "partingMs" | "manyNear">;

/** Neighbours that can make a crowd with us. */
const leastCrowd = defaultPolicy.crowd;

/** A daemon that goes on with something else does not leave: the last file of a run is what counts. */
const partingPauseMs = 10 * second;

/** How long a liar is not spoken to; one that had only parts may have been deceived itself. */
const banWholeMs = limits.banMs;
const banPartMs = limits.banMs / 24;

const mostDoubtful = 32;

export class Swarm {
  readonly #parts: SwarmComponents;
  readonly #live = new Map<Sha256, SwarmSession>();
  /** Who brought a wrong file, until it is known what is right. */
  readonly #unsolved = new BoundedMap<Sha256, TransferRecord>(limits.unsolvedTransfers);

  /** The best that each mirror has given lately, bytes a second. */
  readonly #mirrorRates = new BoundedMap<string, number>(limits.mirrorRates);

  /** Whose word a wrong file was made by: not asked for it again, unless a mirror vouches for it. */
  readonly #doubtful = new BoundedMap<Sha256, Set<string>>(limits.unsolvedTransfers);

  readonly #probation: Probation;
  /** When a reader was last kept waiting in the end. */
  #partedMs = -Infinity;

  constructor(parts: SwarmComponents) {
    this.#parts = parts;
    this.#probation = new Probation(parts.clock);
  }

  /** Whether a session may be of use: a short file is over before peers would be found by chance. */
  worthwhile(sizeBytes: number): boolean {
    const useful = sizeBytes > limits.pieceBytes || this.#parts.finder.known;
    return useful && this.#parts.crowded?.() !== true;
  }

  /** The session of a file under way. */
  session(sha256: Sha256): SwarmSession | undefined {
    return this.#live.get(sha256);
  }

  sessions(): Iterable<SwarmSession> {
    return this.#live.values();
  }

  /** Starts one; it ends with `over`. */
  open(plan: SwarmPlan): SwarmSession {
    const { finder, patience, clock, counters, announce } = this.#parts;
    const { sha256, sizeBytes } = plan;
    const nowMs = clock.monotonicMs();
    const hopeful = finder.hopeful(sha256, sizeBytes);
    const patienceMs = hopeful ? patience.allow(nowMs) : 0;
    const wait = hopeful ? patience.began(nowMs) : undefined;
    const host = plan.mirror === undefined ? undefined : new URL(plan.mirror.url).host;
    const mirrorRate = host === undefined ? undefined : this.#mirrorRates.get(host);
    const manyNear = finder.neighbours >= leastCrowd;
    const admits = this.#admits(plan);
    let parting: Wait | undefined;
    const partingMs = (): number => {
      const allowedMs = this.#partingMs();
      if (allowedMs > 0) parting = patience.began(clock.monotonicMs());
      return allowedMs;
    };
    const session = new SwarmSession(this.#parts, {
      ...{ ...plan, patienceMs, partingMs, mirrorRate, manyNear, admits },
    });
    counters.add("swarm.sessions");
    this.#live.set(sha256, session);
    const waited = (success: boolean): void => {
      if (wait !== undefined) patience.ended(wait, success, clock.monotonicMs());
    };
    const usable = this.#usable(plan, admits);
    const later = new Map<string, PeerInfo>();
    let named = false;
    const answering = (): number => session.transfer.knownPeers(enoughPeers).length;
    const addFree = (): void => {
      const free = [...later.values()].filter(({ endpoint }) => usable(endpoint.text) === "now");
      for (const { endpoint } of free) later.delete(endpoint.text);
      named ||= free.length > 0;
      session.addPeers(free);
    };
    this.#probation.wait(sha256, addFree);
    const search = new Search({ ...this.#parts, answering }, sha256, sizeBytes, {
      peers: (peers) => {
        const good = peers.filter(({ endpoint }) => usable(endpoint.text) !== "never");
        for (const peer of good) later.set(peer.endpoint.text, peer);
        addFree();
        const deferred = good.filter(({ endpoint }) => later.has(endpoint.text)).length;
        if (deferred > 0) counters.add("swarm.peers.deferred", deferred);
      },
      list: (teller, group, list) => {
        if (usable(teller) === "now") session.tellList(teller, group, list);
      },
      done: () => {
        session.searchEnded();
        // With nobody to be asked the mirror is not waiting any longer.
        if (!named) waited(false);
      },
    });
    search.start();
    session.whenFound(() => waited(true));
    session.whenClosed(() => {
      search.cancel();
      later.clear();
      if (this.#live.get(sha256) === session) this.#live.delete(sha256);
      const rate = session.transfer.mirror.bestRate;
      if (host !== undefined && rate !== undefined) this.#mirrorRates.set(host, rate);
      waited(false);
      if (parting !== undefined) patience.ended(parting, false, clock.monotonicMs());
    });
    if (sizeBytes > limits.pieceBytes) announce.unfinished(sha256, sizeBytes);
    session.transfer.start();
    return session;
  }

  /** How long a reader may be kept waiting in the end: of what is left of the patience of this run. */
  #partingMs(): number {
    const nowMs = this.#parts.clock.monotonicMs();
    if (this.#live.size > 1 || nowMs - this.#partedMs < partingPauseMs) return 0;
    this.#partedMs = nowMs;
    return this.#parts.patience.allow(nowMs);
  }

  /** Whether a peer is asked for this file: not who is banned, later who is on probation. */
  #usable(
    { sha256, sizeBytes }: SwarmPlan,
    admits: (peer: Endpoint) => boolean,
  ): (peer: string) => "now" | "later" | "never" {
    return (peer) => {
      const endpoint = parseEndpoint(peer);
      if (endpoint === undefined || !admits(endpoint)) return "never";
      const length = sizeBytes <= limits.pieceBytes ? "short" : "long";
      return this.#probation.admits(endpoint.address, sha256, length) ? "now" : "later";
    };
  }

  /** False: it is banned, or may be who spoiled the file before, and there is no mirror. */
  #admits({ sha256, mirror }: SwarmPlan): (peer: Endpoint) => boolean {
    const { bans } = this.#parts;
    const doubtful = mirror === undefined ? this.#doubtful.get(sha256) : undefined;
    return ({ address, text }) => !bans.banned(address) && doubtful?.has(text) !== true;
  }

  /** The file of this record has the right digest: whoever said or sent something else is named. */
  proven(sha256: Sha256, record: TransferRecord | undefined): void {
    const { finder } = this.#parts;
    if (record !== undefined) {
      this.#ban(record, truthOf(record));
      const liars = new Set(liarsOf(record, truthOf(record)).map(({ source }) => source));
      for (const source of record.bytes.keys()) {
        const endpoint = parseEndpoint(source);
        if (endpoint === undefined || liars.has(source)) continue;
        this.#probation.proven(endpoint.address);
        finder.useful(endpoint);
      }
    }
    this.#doubtful.delete(sha256);
  }

  /** A body that is not the file has come with the help of peers; who lied will be known later. */
  mismatch(sha256: Sha256, record: TransferRecord): void {
    this.#parts.counters.add("swarm.mismatch");
    this.#unsolved.set(sha256, record);
    const doubtful = this.#doubtful.get(sha256) ?? new Set();
    for (const source of believedIn(record)) {
      doubtful.add(source);
      const endpoint = parseEndpoint(source);
      if (endpoint !== undefined) this.#probation.doubt(endpoint.address);
    }
    // So many cannot be told from the honest; it begins anew.
    if (doubtful.size > mostDoubtful) doubtful.clear();
    this.#doubtful.set(sha256, doubtful);
  }

  /** Its download is over, well or not; what can be stored of it is. */
  ended(sha256: Sha256): void {
    this.#parts.announce.ended(sha256);
    this.#probation.ended(sha256);
    this.#solve(sha256);
  }

  close(): void {
    for (const session of [...this.#live.values()]) session.close();
  }

  /** Who spoiled it before is known when the store has it. */
  #solve(sha256: Sha256): void {
    const record = this.#unsolved.get(sha256);
    if (record === undefined) return;
    const { pieceHashes, log } = this.#parts;
    pieceHashes(sha256)
      .then((hashes) => {
        if (hashes === undefined || this.#unsolved.get(sha256) !== record) return;
        this.#unsolved.delete(sha256);
        this.#ban(record, (piece) => {
          const hash = hashes.subarray(piece * 32, piece * 32 + 32);
          return hash.length === 32 ? hash.toString("hex") : undefined;
        });
        for (const source of believedIn(record)) {
          const endpoint = parseEndpoint(source);
          if (endpoint !== undefined) this.#probation.cleared(endpoint.address);
        }
      })
      .catch((thrown: unknown) => log.warn("blame.failed", { error: errorText(thrown) }));
  }

  #ban(record: TransferRecord, truth: (piece: number) => string | undefined): void {
    const { bans, log, counters } = this.#parts;
    for (const { source, why, whole } of liarsOf(record, truth)) {
      const endpoint = parseEndpoint(source);
      if (endpoint === undefined) continue;
      counters.add(`swarm.liars.${why}`);
      log.warn("peer.lied", { peer: source, what: why, whole });
      bans.ban(endpoint.address, `wrong ${why}`, whole ? banWholeMs : banPartMs);
      for (const session of [...this.#live.values()]) session.transfer.reviewPeers();
    }
  }
}

/** Those who told the list that all pieces of a wrong file were of; without one, those who gave them. */
function believedIn({ lists, pieces, bytes }: TransferRecord): Iterable<string> {
  const believed = lists.filter(({ list }) =>
    [...pieces].every(
      ([piece, { digest }]) => digest === undefined || digest === list.hashes[piece],
    ),
  );
  return believed.length > 0 ? believed.flatMap(({ tellers }) => tellers) : bytes.keys();
}
