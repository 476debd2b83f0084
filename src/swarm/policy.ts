/**
 * The constants of a transfer, each with its reason. One object, so that the laboratory can switch
 * off what it wants to measure.
 */
import { KiB, MiB, minute, second } from "../base/units.ts";

export interface TransferPolicy {
  /** Peers remembered of one file: more than anybody can use, and few enough to look through. */
  readonly knownPeers: number;
  /** Peers whose state is being asked at the same time. */
  readonly askedAtOnce: number;
  /** Unfinished peers of which news are awaited. Each costs a connection. */
  readonly watchedPeers: number;
  /** Between two words of one peer of its state, or two questions for it. */
  readonly watchPauseMs: number;
  /** With more unfinished peers than these the time between is longer: words are no more in all. */
  readonly newsPeers: number;
  /** How long a peer may hold back its answer until it has something new. */
  readonly watchWaitMs: number;
  /** Between two questions to one peer for whom else it knows. */
  readonly namesMs: number;
  /** Requests to one peer: one that flows and one that waits its turn, so that no gap comes between. */
  readonly requestsPerPeer: number;
  /** A request asks for what the peer sends in this time, so that its end is never far away. */
  readonly requestMs: number;
  /** As many hashes as the head of an answer may carry. */
  readonly requestPieces: number;
  /**
   * Pieces under way in all: what comes in this time, and never fewer or more than these. In a crowd each
   * has to serve as many as it asks for: less than the places of a peer (upload-gate.ts), or most requests
   * are refused, whoever refuses is left alone for a while, and others have all the work.
   */
  readonly ahead: { readonly ms: number; readonly fewest: number; readonly most: number };
  /**
   * The first missing pieces are asked for in order; behind them the rarest first. Where all read in
   * order each more of them takes from what members have to give each other.
   */
  readonly windowPieces: number;
  /** Where nobody else wants the file nothing is rare, and what is not in order costs the disk. */
  readonly loneWindowPieces: number;
  /** Looked at to find a rare one: the rarest of so many is among the rarest of all. */
  readonly sampledPieces: number;
  /** What is assumed of a peer that has sent nothing yet, bytes a second. */
  readonly nearRate: number;
  readonly farRate: number;
  /** Silence before the head, and in mid-body, that ends a request. A peer may make us queue. */
  readonly headPatienceMs: number;
  readonly bodyPatienceMs: number;
  /** After a request that came to nothing. A second such failure without a piece between: for good. */
  readonly restMs: number;
  readonly busyRestMs: number;
  /** After the first list of pieces others may contradict it for so long; five times for the first. */
  readonly listPatienceMs: number;
  /** At which a peer reads a file to make its list, bytes a second, when it is busy. */
  readonly readRate: number;
  /** Asked elsewhere as well if that is sooner by this factor and this time. */
  readonly hedgeFactor: number;
  readonly hedgeGainMs: number;
  /** Of the file, for what is asked for twice when little is left. */
  readonly duplicateShare: number;
  /** Up to this many members, ourselves included, everybody may go to the mirror (Slurpie). */
  readonly crowd: number;
  /** Nobody is talked into a larger crowd than this. */
  readonly largestCrowd: number;
  /** Before that a crowd is not known well enough to share the mirror. */
  readonly crowdMs: number;
  /**
   * So many of the first pieces that nobody has are got from the mirror, by as many members: what it
   * gives in this time, until all have heard of it, or this share of the file, of which the reader of
   * a long one does not notice when it comes; and never fewer or more than these.
   */
  readonly mirrorWindow: {
    readonly ms: number;
    readonly share: number;
    readonly fewest: number;
    readonly most: number;
  };
  /** Without a byte in order until then the mirror is asked: apt sees one within 250 ms. */
  readonly firstByteMs: number;
  /** In a crowd the reader's silence may last this long (and a random part more): apt waits 30 s. */
  readonly crowdStarvedMs: number;
  /** However slow the mirror is, a crowd that brings nothing is not waited for any longer. */
  readonly mostCrowdPatienceMs: number;
  /** No reader of a crowd is without a byte for longer than this. */
  readonly silenceMs: number;
  /** So much longer it waits for what another member said that it is getting. */
  readonly claimedMs: number;
  /** Of the mirror's rate, at which peers do without it. */
  readonly enoughShare: number;
  /** Slower peers than this do not do without a mirror of which nothing is known, bytes a second. */
  readonly modestRate: number;
  /** A mirror that gives less is shared even among two, bytes a second. */
  readonly slowMirrorRate: number;
  /** In a crowd a stream that only brings the first bytes ends here. */
  readonly tasteBytes: number;
  /** Later ones after so much: enough to be heard, and to tell how fast the mirror is. */
  readonly sipBytes: number;
  /** How long a peer that has answered counts as a member of the crowd. */
  readonly memberMs: number;
  /** Without a mirror, peers that have brought nothing for so long will not any more. */
  readonly hopelessMs: number;
  /** Whether reported load counts in the choice of sources (Shah et al. 2008). */
  readonly feedback: boolean;
  readonly tickMs: number;
}

export const defaultPolicy: TransferPolicy = {
  knownPeers: 200,
  askedAtOnce: 16,
  watchedPeers: 128,
  watchPauseMs: second / 2,
  newsPeers: 128,
  watchWaitMs: second,
  namesMs: 5 * second,
  requestsPerPeer: 2,
  requestMs: 150,
  requestPieces: 8,
  ahead: { ms: 400, fewest: 4, most: 20 },
  windowPieces: 2,
  loneWindowPieces: 24,
  sampledPieces: 32,
  nearRate: 8 * MiB,
  farRate: 1 * MiB,
  headPatienceMs: 5 * second,
  bodyPatienceMs: 2 * second,
  restMs: second / 2,
  busyRestMs: second / 2,
  listPatienceMs: 100,
  readRate: 200 * MiB,
  hedgeFactor: 2,
  hedgeGainMs: 200,
  duplicateShare: 0.02,
  crowd: 3,
  largestCrowd: 200,
  crowdMs: second / 4,
  mirrorWindow: { ms: 1000, share: 1 / 64, fewest: 4, most: 64 },
  firstByteMs: 200,
  crowdStarvedMs: 2.5 * second,
  mostCrowdPatienceMs: minute,
  silenceMs: 10 * second,
  claimedMs: 2 * second,
  enoughShare: 0.95,
  modestRate: 1 * MiB,
  slowMirrorRate: 4 * MiB,
  tasteBytes: 16 * KiB,
  sipBytes: 4 * KiB,
  memberMs: minute / 2,
  hopelessMs: 8 * second,
  feedback: true,
  tickMs: 50,
};
