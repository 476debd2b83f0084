/**
 * Every bound of the program that an administrator does not set, with its reason. What is an option
 * has its bound in the option table (src/config/options.ts).
 */
import { day, hour, KiB, MiB, minute, second } from "./units.ts";

export const limits = {
  /**
   * A body's last bytes wait until the full SHA-256 matches. 16 KiB is below every buffer on the
   * way, so the wait costs no throughput, and above 0, so a wrong file never looks complete.
   */
  heldBackTailBytes: 16 * KiB,

  /** Pieces of 512 KiB, as in 2008: the unit in which unfinished files are recorded and shared. */
  pieceBytes: 512 * KiB,

  /** One read of a stored file; larger chunks gain nothing, smaller ones cost CPU. */
  readChunkBytes: 256 * KiB,

  /** Free read buffers that are kept: enough for apt's ten requests, 4 MiB at the most. */
  spareReadBuffers: 16,

  /** Largest InRelease, Release, SHA256SUMS or signature that is read into memory. sid has 0.3 MB. */
  documentBytes: 16 * MiB,

  /** Documents kept for revalidation; a machine with many sources has some dozens. */
  documents: 512,

  /** Largest decompressed index. Contents is not parsed; Debian's largest Packages is 60 MB. */
  indexBytes: 1024 * MiB,

  /** A line of an index; Debian's longest (a Depends) is below 20 KiB. */
  indexLineBytes: 1 * MiB,

  /** Rows of all catalogue tables together: 54 bytes each, so at most 54 MB. All of sid has 0.2 M. */
  catalogueRows: 1_000_000,

  /** Releases that the catalogue remembers; a machine with many sources has some dozens. */
  catalogueReleases: 512,

  /** Generations of one suite, so that a client with a slightly older Release is served as well. */
  releaseGenerations: 3,

  /** Received bytes that may wait for the disk or, unstored, for the slowest reader. */
  downloadWindowBytes: 1 * MiB,

  /**
   * Connections in a row that may end without progress before a transfer is given up, and the first
   * pause between them (doubled each time). Few, since apt has four tries of its own.
   */
  resumes: 2,
  resumeDelayMs: second / 2,

  /** A client that resumes may wait this long for a running download to reach its first byte. */
  aheadMs: 5 * second,

  /** A download from another mirror is shared only if it has kept this pace, after this time. */
  foreignBytesPerSecond: 64 * KiB,
  foreignPatienceMs: 2 * second,

  /** A body of unknown length may outgrow what the archive lists by this, for apt to see it. */
  excessBytes: 1 * MiB,

  /** A download that nobody waits for any more goes on this long: apt comes back within seconds. */
  lingerMs: 30 * second,

  /** Names whose served prefix turned out wrong: their next requests get the file from the start. */
  suspectNames: 1024,
  suspectMs: 24 * hour,

  /** A name as asked or listed, decoded. Debian's longest is below 300; URLs end at 8 KiB anyway. */
  nameBytes: 4 * KiB,

  /** A Release is parsed in one go; sid's has 0.3 MB, and 4 MiB keep the event loop below 50 ms. */
  releaseBytes: 4 * MiB,

  /** Files listed by all known Releases together, about 200 bytes each: at most 60 MB. */
  releaseFiles: 300_000,

  /** GnuPG cuts lines of clear-signed text at 20,000 bytes: longer ones are not what was signed. */
  signedLineBytes: 16 * KiB,

  /** Release, SHA256SUMS and their signatures that wait for their other half. */
  pendingDocuments: 32,

  /** An index is parsed in slices of this size: each takes less than 2 ms. */
  indexSliceBytes: 128 * KiB,

  /** Work on indexes holds the event loop at most this long at a stretch. */
  indexTurnMs: 4,

  /** Indexes that wait to be read; a machine with every suite of Debian has some 200. */
  indexQueue: 1024,

  /** Plain text of all ed scripts of one chain; a month of sid's main has about 20 MB. */
  patchBytes: 48 * MiB,

  /** Refused documents and indexes that are remembered for people who ask why. */
  refusals: 256,

  /** Files looked at in apt's lists directory, and in its sources.list.d. */
  listsFiles: 8192,
  sourcesFiles: 512,

  /** One file of apt's sources; embedded keys included they have some 10 KB. */
  sourcesBytes: 1 * MiB,

  /** A longer run of occupied slots in a digest table is no accident: such an index is refused. */
  tableProbes: 1024,

  /** A request waits this long for an index that is being read before it goes on without it. */
  indexWaitMs: 8 * second,

  /** A request's head: apt's is below 1 KB; a client must send it within this time. */
  requestHeaderBytes: 16 * KiB,
  requestUrlBytes: 8 * KiB,
  requestHeadMs: 30 * second,

  /** Requests of one connection that are worked on at once (apt sends 10), and that may queue. */
  pipelinedAtOnce: 16,
  pipelinedWaiting: 256,

  /** A connection on which nothing moves is closed: within a request, and between two of them. */
  clientStallMs: 5 * minute,
  clientIdleMs: 150 * second,

  /** A stored file is hashed again before it is served when its last proof is older than this. */
  reverifyMs: 7 * 24 * hour,

  /** Last-use times are written in one batch this often, or when so many have gathered. */
  touchFlushMs: minute,
  touches: 4096,

  /** Stored files kept open for the next reader: those of a large upgrade. Node may open far more. */
  keptOpenFiles: 2048,

  /** A file of this size that was read a moment ago is read again without a thread's help. */
  quickReadBytes: 64 * KiB,
  quickReadMs: minute,

  /** Records of stored files kept decoded, some 500 bytes each. */
  hotRecords: 2048,

  /** Names remembered of one content; mirrors and suites name the same file differently. */
  namesPerFile: 8,

  /** Unfinished files untouched for so long go first when room is needed: apt has given up. */
  unfinishedAgeMs: 3 * day,

  /** Commits that come within this time share their fsyncs and their record. */
  commitDelayMs: 100,

  /** A group of commits does not wait any longer when it has so many files. */
  commitGroupFiles: 128,

  /**
   * Committed files that wait for the disk; more make new ones wait. Each holds a descriptor. Large
   * enough that an apt run of 1,000 packages does not notice a disk with slow fsyncs.
   */
  pendingCommits: 1024,

  /** fsyncs at once. They occupy threads of the pool that readers need, too. */
  parallelSyncs: 2,

  /** A file of unknown size claims room in such steps. */
  claimStepBytes: 8 * MiB,

  /** Eviction frees this share of the quota beyond the need, so that not every file scans. */
  evictionSlackShare: 1 / 32,

  /** The free space of the file system is asked for this often; between, our own use is added. */
  freeSpaceMs: second,

  /** The proven prefix of an unfinished file is recorded after so much time or data. */
  prefixRecordMs: second,
  prefixRecordBytes: 16 * MiB,

  /** Proofs along the prefix of an unfinished file: a lost tail costs little of a long file. */
  prefixProofs: 12,

  /** Digests asked about in one go (listed or not) while the store is scanned. */
  scanBatch: 512,

  /** Paths that an import reports as not taken in. */
  importFailures: 100,

  /** A configuration file; the sample with all its comments has 5 KiB. */
  configFileBytes: 1 * MiB,

  /** Files in conf.d: a package or a role each, never hundreds. */
  configFiles: 256,

  /** Items of one list in the configuration; longer ones are machine-made and belong elsewhere. */
  configListItems: 1024,

  /** sun_path of unix(7) has 108 bytes, the last of them 0. */
  socketPathBytes: 107,

  /** A command reads at most this much of one answer, or of one line of a longer one. */
  controlAnswerBytes: 16 * MiB,

  /** Pieces that wait in memory where no disk takes them: 8 MiB for each download. */
  piecesInMemory: 16,

  /** Memory of pieces that is kept for the next ones: what one fast download uses at a time, 8 MiB. */
  sparePieceBuffers: 16,

  /**
   * Pieces that wait in memory although a disk would take them, since their turn comes in a moment:
   * what two requests bring while the next piece comes.
   */
  soonPieces: 24,
  /** The same of all downloads: 32 MiB, after which only the very next piece of each does. */
  soonPiecesInAll: 64,
  /** So many of the next pieces are enough to go on with: peers wait until they are used. */
  readyPieces: 4,
  /** Who brings more waits so long at the most: a request is given up after 2 s of silence. */
  soonMs: second / 2,

  /** Chunks of a download that are kept for their memory until its slowest reader has sent them. */
  leavingChunks: 4,

  /** Pieces of all downloads that came before their turn and wait for the disk. */
  aheadWaitingBytes: 32 * MiB,

  /** Downloads under way that the DHT is told of: each costs a look-up and some stores. */
  announcedDownloads: 256,

  /** Machines of the own network that are asked; a filter has some KB, 64 KiB at the most. */
  neighbours: 256,

  /** Mirrors of which it is remembered how fast they are. */
  mirrorRates: 64,

  /** Files of which it is remembered who gave them; some 300 bytes each. */
  rememberedSources: 256,

  /** Downloads that peers spoiled, remembered until the true file is here; some KB each. */
  unsolvedTransfers: 64,

  /** Peers of which is remembered whether they gave something right; more than one run of apt meets. */
  provenPeers: 512,

  /** A peer that lied about a whole file is not spoken to for so long; one with parts for a 24th. */
  banMs: day,

  /** Files of which it is remembered who asked for them, by whom, and how long: half a crowd's life. */
  askedFiles: 512,
  askersPerFile: 64,
  askerMs: 10 * minute,

  /** Files of which it is remembered what crowds have got; a bit for each piece, at most 64 KiB. */
  sownFiles: 64,

  /** Peers and files of which it is counted what they took; some 100 bytes each. */
  uploadPeers: 512,
  uploadFiles: 1024,

  /** A peer waits so long for a free slot: it gives up after 5 s itself. */
  uploadQueueMs: 3 * second,

  /** A chunk of an upload must be taken within this time: below 13 kB/s a slot is wasted. */
  uploadStallMs: 20 * second,

  /** Answers that are held back or go on, to one peer and to all: each holds a connection. */
  heldQuestionsPerPeer: 8,
  heldQuestions: 256,
  /** Peers that go on telling us of themselves, for all files; others are asked again and again. */
  followedPeers: 192,

  /** Lists of piece hashes kept at hand, and the longest: 8 MiB in all, files of up to 2 GiB. */
  pieceLists: 64,
  pieceListBytes: 128 * KiB,

  /** What peers took this month is recorded so often, or after so much. */
  allowanceRecordMs: 30 * second,
  allowanceRecordBytes: 64 * MiB,

  /** A peer's question must be here within this time. */
  questionMs: 5 * second,

  /** Of all connections, for machines that are no clients; and for one of them. */
  strangersShare: 1 / 2,
  connectionsPerStranger: 32,

  /** Requests that one connection of such a machine may send ahead: daemons send none. */
  pipelinedStrangers: 4,
} as const;
