/**
 * Our own address as others see it: every answer says where the query came from. Each subnet (/24,
 * /64) has one vote, its last one, and more than half of the recent votes must agree, so that a liar
 * or a few from one network change nothing. For one address family.
 *
 * Only tellers at global addresses know our global address, and only those of the own network the one
 * that we have there; their votes are counted apart, and the global address is preferred.
 */
import { familyOf, subnetOf, type Endpoint } from "../base/endpoint.ts";
import { minute } from "../base/units.ts";
import { reachOf } from "./party.ts";

interface Vote {
  readonly seen: Endpoint;
  readonly atMs: number;
}

/** Tellers whose votes count: enough that a majority of them is hard to buy. */
const countedTellers = 32;

/** Older votes tell where we were. Contacts in the table are asked more often. */
const voteMs = 30 * minute;

/** Fewer agreeing subnets prove nothing on the Internet; in the own network two neighbours do. */
const leastVotes = { outside: 3, inside: 2 } as const;

/** `changed`: another address than before is agreed on; what relied on the old one must be redone. */
export type AddressNews = "same" | "first" | "changed";

export class OutsideAddress {
  readonly #outside = new Poll(leastVotes.outside);
  readonly #inside = new Poll(leastVotes.inside);

  /** `seen`: the address that `teller` says it got our query from. */
  note(teller: Endpoint, seen: Endpoint, nowMs: number): AddressNews {
    const reach = reachOf(teller.address);
    if (reach !== reachOf(seen.address)) return "same";
    if (familyOf(teller.address) !== familyOf(seen.address)) return "same";
    const vote = { seen, atMs: nowMs };
    if (reach === "global") return this.#outside.vote(subnetOf(teller.address), vote);
    const news = this.#inside.vote(teller.text, vote);
    // Whoever is known by a global address does not depend on another one.
    return this.#outside.winner === undefined ? news : "same";
  }

  /** Address and port as most tellers see them; undefined before there is agreement. */
  current(): Endpoint | undefined {
    return this.#outside.winner ?? this.#inside.winner;
  }
}

/** The votes of one kind of teller. */
class Poll {
  readonly #least: number;
  /** Teller → its last vote, the oldest in front; at most `countedTellers`. */
  readonly #votes = new Map<string, Vote>();
  #winner: Endpoint | undefined;

  constructor(least: number) {
    this.#least = least;
  }

  /** Stays as it is while there is no majority for another one. */
  get winner(): Endpoint | undefined {
    return this.#winner;
  }

  vote(teller: string, vote: Vote): AddressNews {
    this.#votes.delete(teller);
    this.#votes.set(teller, vote);
    for (const [oldest, { atMs }] of this.#votes) {
      if (this.#votes.size <= countedTellers && vote.atMs - atMs < voteMs) break;
      this.#votes.delete(oldest);
    }
    // The usual case, with each answer: a vote for the winner makes no other one win.
    if (vote.seen.text === this.#winner?.text) return "same";
    const votes = [...this.#votes.values()].map(({ seen }) => seen);
    const address = mostCommon(votes.map((seen) => seen.address));
    const agreeing = votes.filter((seen) => seen.address === address);
    if (agreeing.length < this.#least || 2 * agreeing.length <= votes.length) return "same";
    const before = this.#winner;
    // A NAT may show each teller another port: the most common one is the best guess.
    const text = mostCommon(agreeing.map((seen) => seen.text));
    this.#winner = agreeing.find((seen) => seen.text === text);
    if (before === undefined) return "first";
    return before.address === address ? "same" : "changed";
  }
}

function mostCommon(texts: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  let best: string | undefined;
  for (const [text, count] of counts) if (count > (counts.get(best ?? "") ?? 0)) best = text;
  return best;
}
