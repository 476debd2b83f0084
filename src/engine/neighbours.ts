/**
 * The machines of the own network, and peers that were useful lately: asked about every file, before
 * and beside the DHT.
 *
 * - Each neighbour's filter tells for a whole run of apt at once what it may have; the piece request
 *   is the proof. A filter that has grown old is asked for again, and the answer waited for.
 * - Beside it those that are most useful are asked by `/~/have`, all questions of one moment in one
 *   request, for what they are just downloading, and for what is newer than their filter.
 * - Who does not answer is asked less often, and waited for only once (neighbour.ts).
 */
import { BoundedMap } from "../base/bounded-map.ts";
import type { Endpoint } from "../base/endpoint.ts";
import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import { hour, minute, second } from "../base/units.ts";
import { groupOf } from "../swarm/peer-book.ts";
import type { PeerInfo } from "../swarm/types.ts";
import { NeighbourSearch, type NeighbourEvents } from "./neighbour-search.ts";
import { Neighbour, type NeighbourParts } from "./neighbour.ts";

export interface NeighboursParts extends NeighbourParts {
  readonly isNear: (address: string) => boolean;
}

export interface NeighbourStatus {
  readonly address: string;
  readonly near: boolean;
  /** Files that its filter counts; undefined: it has told none. */
  readonly files: number | undefined;
  readonly answeredAgoMs: number | undefined;
  /** From question to answer, the last time. */
  readonly rttMs: number | undefined;
  /** Files that it has helped with. */
  readonly useful: number;
}

/** A file that is looked for. */
export interface Wanted {
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  /** It was asked for a moment ago. */
  readonly again: boolean;
}

/** All are asked about a file if there are no more; else, and when they are asked again, some. */
const askAll = 48;
const askSome = 16;
/** Those whose filters tell nothing, about a file that nobody downloads for long. */
const askShort = 4;
/** With few neighbours a filter is asked for again after a second; with many, five of them in one. */
const filterOldMs = second;
const filterShareMs = second / 5;
/** After so many failures in a row it is forgotten, unless it was configured. */
const mostFailures = 12;
const hopefulMs = hour;
/** Far peers that were useful in this run are asked about further files: so many, for so long. */
const farPeers = 3;
const farMs = 2 * minute;
/** One machine may be several daemons in containers; whoever names more ports only takes room. */
const perAddress = 16;
/** Who has answered within this time keeps its place. */
const keptMs = 10 * minute;

export class Neighbours {
  readonly #parts: NeighboursParts;
  readonly #known = new Map<string, Neighbour>();
  readonly #far = new BoundedMap<string, { readonly endpoint: Endpoint; readonly sinceMs: number }>(
    farPeers,
  );
  readonly #searches = new Set<NeighbourSearch>();

  constructor(parts: NeighboursParts) {
    this.#parts = parts;
  }

  /** How many could be asked. */
  get count(): number {
    return this.#known.size + this.#farEndpoints().length;
  }

  /** Those of the own network that have answered lately. */
  get near(): number {
    const sinceMs = this.#parts.clock.monotonicMs() - hopefulMs;
    let near = 0;
    for (const each of this.#known.values()) if (each.traits.near && each.answers(sinceMs)) near++;
    return near;
  }

  /** Somebody has answered lately, or may do so any moment: it is worth that moment to ask. */
  get hopeful(): boolean {
    const sinceMs = this.#parts.clock.monotonicMs() - hopefulMs;
    for (const neighbour of this.#known.values()) {
      if (neighbour.answers(sinceMs)) return true;
    }
    return this.#farEndpoints().length > 0;
  }

  /** By the filters alone. */
  mayHave(sha256: Sha256): boolean {
    for (const neighbour of this.#known.values()) {
      if (neighbour.promises(sha256)) return true;
    }
    return false;
  }

  /** A machine that serves peers at `endpoint`: of the own network, or named in the configuration. */
  learn(endpoint: Endpoint, by: "network" | "configuration" = "network"): void {
    const known = this.#known.get(endpoint.text);
    if (known !== undefined) {
      known.heard();
      return;
    }
    const traits = {
      ...{ endpoint, near: this.#parts.isNear(endpoint.address) },
      configured: by === "configuration",
    };
    if (!this.#makeRoom(endpoint)) return;
    this.#parts.counters.add("swarm.neighbours.learned");
    const neighbour = new Neighbour(this.#parts, traits);
    this.#known.set(endpoint.text, neighbour);
    this.#refresh(neighbour);
  }

  /** Those that the configuration names, all of them: others that it named before are forgotten. */
  configure(endpoints: readonly Endpoint[]): void {
    const named = new Set(endpoints.map(({ text }) => text));
    for (const neighbour of [...this.#known.values()]) {
      const { configured, endpoint } = neighbour.traits;
      if (configured && !named.has(endpoint.text)) this.#forget(neighbour);
    }
    for (const endpoint of endpoints) this.learn(endpoint, "configuration");
  }

  /** It gave pieces of a file that is proven. */
  useful(endpoint: Endpoint): void {
    const neighbour = this.#known.get(endpoint.text);
    if (neighbour !== undefined) neighbour.useful++;
    else if (this.#parts.isNear(endpoint.address)) this.learn(endpoint);
    else this.#far.set(endpoint.text, { endpoint, sinceMs: this.#parts.clock.monotonicMs() });
  }

  /** See Finder.find. `done` is called within 150 ms, and nothing from inside this call. */
  find({ sha256, ...wanted }: Wanted, events: NeighbourEvents): { cancel: () => void } {
    const { clock, counters } = this.#parts;
    this.#forgetFailed();
    const search = new NeighbourSearch(clock, sha256, events, () => this.#searches.delete(search));
    this.#searches.add(search);
    const ended = search.expect();
    const oldMs = Math.max(filterOldMs, this.#known.size * filterShareMs);
    const far = this.#farInfos();
    const known = [...this.#known.values()];
    const promising = new Set(known.filter((neighbour) => neighbour.promises(sha256)));
    const promised = [...promising].map((neighbour) => infoOf(neighbour, "whole"));
    const asked = this.#chosen(
      known.filter((each) => !promising.has(each) && each.traits.near),
      wanted,
    );
    for (const neighbour of known) {
      // Whoever is asked for this file needs no filter to tell of it.
      if (neighbour.filterAgeMs <= oldMs || asked.has(neighbour)) continue;
      // Who has promised is asked for its filter for later files' sake; else its answer may help.
      const useless = promising.has(neighbour) || !neighbour.prompt;
      this.#refresh(neighbour, useless ? undefined : search.expect());
    }
    counters.add("swarm.found.promised", promised.length);
    clock.after(0, () => {
      search.name([...promised, ...far]);
      ended();
    });
    for (const neighbour of asked) {
      const answered = search.expect(neighbour.prompt);
      neighbour.ask(sha256, (holding) => {
        if (holding !== undefined && holding.have !== "no" && search.running) {
          counters.add(`swarm.found.${holding.have}`);
          search.name([infoOf(neighbour, holding.have === "whole" ? "whole" : "unknown")]);
        }
        answered();
      });
    }
    return { cancel: () => search.end() };
  }

  status(): readonly NeighbourStatus[] {
    const nowMs = this.#parts.clock.monotonicMs();
    return [...this.#known.values()].map((neighbour) => {
      const { traits, files, answeredMs, rttMs, useful } = neighbour;
      const answeredAgoMs = answeredMs === undefined ? undefined : Math.round(nowMs - answeredMs);
      const { near, endpoint } = traits;
      return { address: endpoint.text, near, files, answeredAgoMs, rttMs, useful };
    });
  }

  close(): void {
    for (const search of this.#searches) search.end();
    for (const neighbour of this.#known.values()) neighbour.close();
    this.#known.clear();
  }

  /** A new filter speaks to whoever is looking for a file just now. */
  #refresh(neighbour: Neighbour, told?: () => void): void {
    neighbour.refresh(() => {
      for (const search of this.#searches) {
        if (!neighbour.promises(search.sha256)) continue;
        if (search.name([infoOf(neighbour, "whole")])) {
          this.#parts.counters.add("swarm.found.promised");
        }
      }
      told?.();
    });
  }

  /**
   * Whose answer is worth a question although its filter has said no: filters tell nothing of
   * downloads. Of short files nobody downloads for long; there a filter is enough.
   */
  #chosen(
    silent: readonly Neighbour[],
    { sizeBytes, again }: Omit<Wanted, "sha256">,
  ): ReadonlySet<Neighbour> {
    const short = sizeBytes <= limits.pieceBytes;
    const able = silent.filter((each) => (short ? each.prompt && !each.filters : each.able));
    const [all, some] = short
      ? [askShort, askShort]
      : again
        ? [askSome, askSome]
        : [askAll, askSome];
    if (able.length <= all) return new Set(able);
    // The useful ones first; among equals whoever comes.
    const drawn = able.map((neighbour) => ({
      ...{ neighbour, rank: neighbour.useful + this.#parts.random.next() },
    }));
    drawn.sort((a, b) => b.rank - a.rank);
    return new Set(drawn.slice(0, some).map(({ neighbour }) => neighbour));
  }

  /** Far peers cannot be asked for filters; their word on each file is asked for by the transfer. */
  #farInfos(): PeerInfo[] {
    const configured = [...this.#known.values()]
      .map(({ traits }) => traits)
      .filter(({ near }) => !near)
      .map(({ endpoint }) => endpoint);
    while (configured.length > farPeers) {
      configured.splice(Math.floor(this.#parts.random.next() * configured.length), 1);
    }
    const endpoints = new Map<string, Endpoint>();
    for (const each of [...this.#farEndpoints(), ...configured]) endpoints.set(each.text, each);
    return [...endpoints.values()].map((endpoint) => {
      const group = groupOf(endpoint.address, false);
      return { endpoint, near: false, group, state: "unknown", via: "exchange" };
    });
  }

  #farEndpoints(): Endpoint[] {
    const leastMs = this.#parts.clock.monotonicMs() - farMs;
    return [...this.#far.entries()]
      .filter(([, { sinceMs }]) => sinceMs >= leastMs)
      .map(([, { endpoint }]) => endpoint);
  }

  /** Whether one more may be remembered; whoever has not answered for the longest time goes. */
  #makeRoom({ address }: Endpoint): boolean {
    const all = [...this.#known.values()];
    const ofAddress = all.filter(({ traits }) => traits.endpoint.address === address);
    const crowded = ofAddress.length >= perAddress;
    if (!crowded && all.length < limits.neighbours) return true;
    const leastMs = this.#parts.clock.monotonicMs() - keptMs;
    let oldest: Neighbour | undefined;
    for (const each of crowded ? ofAddress : all) {
      if (each.traits.configured || (each.answeredMs ?? -Infinity) > leastMs) continue;
      const older = (each.answeredMs ?? -Infinity) < (oldest?.answeredMs ?? -Infinity);
      if (oldest === undefined || older) oldest = each;
    }
    if (oldest === undefined) return false;
    this.#forget(oldest);
    return true;
  }

  #forgetFailed(): void {
    for (const neighbour of this.#known.values()) {
      const { failures, traits } = neighbour;
      if (failures >= mostFailures && !traits.configured) this.#forget(neighbour);
    }
  }

  #forget(neighbour: Neighbour): void {
    neighbour.close();
    this.#known.delete(neighbour.key);
  }
}

function infoOf({ traits }: Neighbour, state: PeerInfo["state"]): PeerInfo {
  const { endpoint, near } = traits;
  return { endpoint, near, group: groupOf(endpoint.address, near), state, via: "neighbour" };
}
