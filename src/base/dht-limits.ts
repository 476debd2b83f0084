/**
 * Every bound and interval of the DHT with its reason; what is an option has its bound in the option
 * table. Times are milliseconds.
 */
import { hour, minute, MiB, second } from "./units.ts";

export const dhtLimits = {
  /** Kademlia's k: nodes in an answer, closest nodes that end a lookup, holders of a value. */
  k: 8,
  /**
   * Queries of one lookup that may be under way at once. This and what follows was chosen on the
   * networks of the lookup bench: fewer messages cost time, shorter waits cost recall.
   */
  alpha: 8,
  /** Of them to nodes outside of the region where nearFactor × k nodes live. */
  farAlpha: 3,
  nearFactor: 2,
  /**
   * Ids so many times denser around a target than the network's size allows are no chance (for 8
   * nodes, 1 in 900 targets); then up to so many candidates of the whole region are asked. A node
   * judges so after a while only: a size that was measured in a young network is too small.
   */
  implausibleDensity: 4,
  matureMs: 15 * minute,
  regionCandidates: 48,
  /** Share of silence before anything was asked; how much one query counts; the most believed. */
  firstSilence: 0.1,
  silenceWeight: 1 / 32,
  mostSilence: 0.6,
  /** Of the queries that the share of silence will cost, how many are made ahead. */
  hedge: 0.85,
  /** One query ahead is not worth its message, unless so many have already cost their time-out. */
  leastAhead: 2,
  lateAfter: 2,
  /** A query is sent again after so many time-outs. */
  resendFactor: 2.5,
  /** Retransmission time-outs: before anything is known of a peer, and the bounds afterwards. */
  firstTimeoutMs: 265,
  shortestTimeoutMs: 120,
  longestTimeoutMs: 1500,
  /** A lookup waits for nobody longer than this: nine of ten pairs of hosts need less. */
  longestWaitMs: 370,
  /** Least time-out where nobody waits: most overloaded hosts answer within it. */
  patientTimeoutMs: second,

  /** Nodes that a find_node may ask for: 32 of IPv4 fill 832 of 1,200 bytes. */
  mostNodes: 32,
  /** Values that one get_value may ask for; a datagram holds far fewer. */
  mostValues: 100,

  /**
   * Contacts by the number of leading bits that they share with our id: large buckets near the root,
   * where one more contact saves a hop, as libtorrent has them. Deeper buckets have the last size.
   */
  bucketSizes: [128, 128, 64, 32, 16],
  /** Global addresses of one /24 or /64 in one bucket, and in the whole table. */
  subnetPerBucket: 2,
  subnetPerTable: 10,
  /** Global addresses of one /24 or /64 among the candidates of one lookup. */
  subnetPerLookup: 3,
  /** Candidates that wait for a place in a full bucket. */
  sparesPerBucket: 8,
  /** Newcomers in quarantine at most; each costs two pings. */
  quarantine: 512,
  /** UDP pinholes close after 30 to 300 s of silence; an answer after that proves an open port. */
  pinholeMs: 6 * minute,
  /** A contact that was silent for so long is pinged. */
  contactSilentMs: 15 * minute,
  /** When nobody has answered for so long, failures are the network's and evict nobody. */
  offlineMs: 30 * second,
  /** Failures in a row that evict. */
  failuresToEvict: 3,
  /** A newcomer that is never silent is believed after this time: it says itself if it is behind NAT. */
  quarantineMs: 20 * minute,
  /** The table is looked through so often; each time at most so many contacts are pinged. */
  upkeepMs: 15 * second,
  upkeepPings: 16,
  /**
   * Contacts that are young are pinged after this silence, older ones later: they live longer. Longer
   * than `pinholeMs` with two rounds of upkeep: a newcomer that pinged us more often would never be
   * silent long enough to prove itself, here or to itself.
   */
  youngSilentMs: 8 * minute,
  /** A contact that failed is tried again after this time, then after two and four times as long. */
  failedRetryMs: 15 * second,
  /** A bucket in which nothing was looked up for so long is refreshed. */
  bucketRefreshMs: hour,
  /** Contacts remembered over a restart, and probed at a time when joining. */
  rememberedContacts: 256,
  joinProbes: 64,

  /** First and longest pause between two tries to find the network. */
  joinRetryMs: 2 * second,
  longestJoinRetryMs: 5 * minute,
  /** Contacts are remembered this often. */
  saveContactsMs: 3 * minute,

  /** Addresses whose round trips, tokens and failures are remembered, beside those in the table. */
  knownPeers: 4096,

  /** Queries of ours under way: all lookups with all their slots, and those that are late. */
  pendingQueries: 4096,
  /** Candidates that one lookup keeps: 8 answers from each of some 40 nodes, the closest of them. */
  lookupCandidates: 256,
  /** Distinct values that one lookup delivers: all holders' full lists of a popular file. */
  lookupValues: 2000,
  /** Pages of one holder's values: who gives one value a page is not asked for 200 of them. */
  pagesPerHolder: 8,
  /** A lookup never takes longer, whatever the network does. */
  lookupMs: 20 * second,
  lookupsAtOnce: 128,
  /** More wait for one of these to end: one apt run may ask for thousands of files. */
  lookupsWaiting: 8192,

  /** A value lives so long unless it is renewed (2008). */
  valueMs: 3 * hour,
  /** Expired values are dropped this often. */
  expiryMs: minute,
  /** Publishers renew at this interval: two may fail before anything is lost. */
  renewMs: hour,
  /** Publishers look for new holders of their keys at this interval. */
  sweepMs: 90 * minute,
  /** Keys that one node publishes: ten times a large cache. */
  publishedKeys: 32_768,
  /** Values of one key: a hundred answers' worth; more publishers than anybody asks. */
  valuesPerKey: 200,
  /** Of them from one global /24 or /64. */
  valuesPerKeyAndSubnet: 4,
  /** Largest value: a list of 32 pieces. */
  valueBytes: 1040,
  /** Keys and bytes of all that is held for others. */
  heldKeys: 60_000,
  heldBytes: 32 * MiB,
  /** Keys from one address: at least this many, more in a small network (`quotas.ts`). */
  keysPerSource: 64,
  /** Keys that a large publisher shares; with the network's size it gives its share per holder. */
  typicalKeys: 3000,

  /** Secrets behind tokens: a new one each time, the last ones stay good. So 40 to 60 minutes. */
  tokenSecretMs: 20 * minute,
  tokenSecrets: 3,
  tokenBytes: 8,

  /** Queries of one address: sustained and at once; then it is not heard for a while. */
  queriesPerSecond: 40,
  queryBurst: 1000,
  /** Of one /24 or /64, of global addresses. */
  queriesPerSecondAndSubnet: 160,
  silenceMs: 5 * minute,
  /** Sources that are counted: an attacker cycles through fewer far more slowly than they age. */
  countedSources: 4096,

  /** Share of that which our own lookups take up, each of which costs so many queries. */
  guardShare: 0.7,
  queriesPerLookup: 12,

  /** TCP dial-backs for others, at once and per minute; each ends soon. */
  dialBacksAtOnce: 8,
  dialBacksPerMinute: 60,
  dialBackMs: 3 * second,

  // The walk over the whole network (`apt-p2p dht walk`).
  /** Queries a second, retransmissions included: some 35 KB/s, and no node gets more than two. */
  walkQueriesPerSecond: 50,
  /** Two queries for each of the nodes that are reported at most: it ends within seven minutes. */
  walkQueries: 20_000,
  walkNodes: 10_000,
  /** How often the walk tells how far it is. */
  walkProgressMs: second / 4,
} as const;
