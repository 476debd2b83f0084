/**
 * The paces and bounds of publishing, each with its reason. Times are milliseconds. What publishers
 * and holders must agree on stands in `dhtLimits`.
 */
import { dhtLimits } from "../base/dht-limits.ts";
import { minute, second } from "../base/units.ts";

export const publishLimits = {
  /**
   * Live nodes that a lookup for a block of keys asks for. The traffic of a sweep hardly depends on
   * it between 16 and 32: more nodes make fewer, larger lookups.
   */
  width: 20,
  /** Copies beyond the k closest that are kept, so that a node that comes and goes moves nothing. */
  spareHolders: 4,
  /** A key with fewer holders is placed again at once; any other waits for the sweep. */
  repairBelow: 6,
  /**
   * Holders of all keys together: 8,000 keys in a network so large that no two keys share a holder.
   * Beyond it keys get fewer copies. An index takes 16 bits.
   */
  holders: 65_535,

  /** 40 datagrams a second at most: 48 KB/s, so 2,000 keys are stored in a minute or less. */
  sendPauseMs: 25,
  /** Stores and renewals under way: a network of dead holders (6 s each) gets 5 datagrams a second. */
  queriesAtOnce: 32,
  /** Each lookup has some 25 datagrams: they are not to come in bursts. */
  lookupPauseMs: 250,
  lookupsAtOnce: 2,
  /** While so many keys have no holders, as after the first start, more lookups run at a time. */
  manyUrgent: 64,
  firstLookupsAtOnce: 4,
  /** In a huge network every key needs its own lookup: then the sweep takes longer. */
  sweepPauseMs: second,
  /** New keys wait so long for others to share their lookups and stores. */
  collectMs: second / 2,
  /** Pauses after a lookup that found nobody: doubled each time. */
  lostPauseMs: 5 * second,
  lostPauseMostMs: 5 * minute,
  /** Lookups in a row that may find far fewer nodes than we know before they are believed. */
  shortLookups: 3,

  /** A network so many times larger than when its keys were placed has other closest nodes. */
  growth: 1.5,
  /** Keys are placed again for that at most this often: estimates are rough while little is known. */
  growthPauseMs: 4 * minute,
  /** Renewals that have fallen due are looked for this often. */
  tickMs: 10 * second,
  /** A holder that did not answer is asked again after this, doubled each time. */
  doubtMs: 30 * second,
  doubtMostMs: 10 * minute,
  /** So many failures without an answer from anybody: it is our own link. */
  failuresOffline: 8,
  /** A holder that was given up is not chosen for so long. */
  blockMs: 10 * minute,
  /** Datagrams in a row that a holder may refuse entirely before it is blocked for `renewMs`. */
  refusals: 3,
  /** Refused pairs of key and holder that are remembered, so that the next closest gets its turn. */
  refusedPairs: 4096,
  /**
   * Renewals in a row that may disagree. Entries of an earlier life of ours are gone from a holder
   * after `dhtLimits.valueMs`, thus after three; who still disagrees loses what it is sent.
   */
  mismatches: 5,
  /**
   * Results of lookups that are kept for keys that were refused: at the first start, when lookups are
   * far ahead of stores, those of a network of 300. Each has some 20 contacts, which others keep too.
   */
  recentViews: 32,
  recentViewMs: minute,

  /** Keys that are placed in one turn of the event loop: some 5 ms. */
  keysPerTurn: 1000,
  /** Changed records are written this often. */
  recordsMs: 30 * second,
  /** Keys known from before a restart that nobody published again by then are withdrawn. */
  unclaimedMs: 10 * minute,
} as const;

/** Places for holders that each key has. At most 16: see `PublishTable`. */
export const holdersPerKey = dhtLimits.k + publishLimits.spareHolders;
