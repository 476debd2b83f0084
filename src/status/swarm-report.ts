/** What came from peers and went to them, in total, by peer and by file; whom we do not speak to. */
import type { FileSources, PeerBytes } from "../engine/file-sources.ts";
import type { NeighbourStatus } from "../engine/neighbours.ts";
import type { PeerUploads } from "../engine/peer-uploads.ts";

export interface SwarmSources {
  /** Nothing is taken from peers, and nothing given, with `dht.share = none`. */
  readonly enabled: boolean;
  readonly files: () => readonly FileSources[];
  readonly givers: () => readonly PeerBytes[];
  readonly takers: () => readonly PeerUploads[];
  readonly neighbours: () => readonly NeighbourStatus[];
  readonly bans: () => readonly BanReport[];
  /** What peers beyond the own network have had in this month, in bytes. */
  readonly monthBytes: () => number;
}

export interface BanReport {
  /** An address, or of IPv6 the first half of one. */
  readonly who: string;
  readonly why: string;
  /** Milliseconds since 1970. */
  readonly untilMs: number;
}

export interface SwarmReport {
  readonly state: "on" | "off";
  readonly received: {
    readonly bytes: number;
    readonly peers: readonly PeerBytes[];
  };
  readonly uploaded: {
    readonly nearBytes: number;
    readonly farBytes: number;
    readonly monthBytes: number;
    readonly peers: readonly PeerUploads[];
    /** Questions that were turned away since others were served. */
    readonly busy: number;
  };
  readonly refused: {
    readonly pieces: number;
    readonly bytes: number;
    /** How often a peer was given up for which reason. */
    readonly dropped: Readonly<Record<string, number>>;
    /** How often a peer was proven wrong, by what it had sent. */
    readonly liars: Readonly<Record<string, number>>;
  };
  readonly lookups: {
    readonly asked: number;
    readonly found: number;
    /** Mean time until the first peer was found; undefined: none ever was. */
    readonly firstMs: number | undefined;
  };
  readonly neighbours: readonly NeighbourStatus[];
  readonly bans: readonly BanReport[];
  /** The newest first. */
  readonly files: readonly FileSources[];
}

export function swarmReport(
  sources: SwarmSources,
  counters: Readonly<Record<string, number>>,
): SwarmReport {
  const count = (name: string): number => counters[name] ?? 0;
  const found = count("swarm.lookups.found");
  return {
    state: sources.enabled ? "on" : "off",
    received: { bytes: count("engine.bytes.fromPeers"), peers: sources.givers() },
    uploaded: {
      nearBytes: count("peers.bytes.uploaded.near"),
      farBytes: count("peers.bytes.uploaded.far"),
      monthBytes: sources.monthBytes(),
      peers: sources.takers(),
      busy: count("peers.refused.busy"),
    },
    refused: {
      pieces: count("swarm.pieces.refused"),
      bytes: count("swarm.bytes.refused"),
      dropped: below(counters, "swarm.peers.dropped."),
      liars: below(counters, "swarm.liars."),
    },
    lookups: {
      asked: count("swarm.lookups"),
      found,
      firstMs: found === 0 ? undefined : Math.round(count("swarm.lookups.firstMs") / found),
    },
    neighbours: sources.neighbours(),
    bans: sources.bans(),
    files: [...sources.files()].reverse(),
  };
}

/** The counters under this prefix, without it. */
function below(
  counters: Readonly<Record<string, number>>,
  prefix: string,
): Readonly<Record<string, number>> {
  const some = Object.entries(counters).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(some.map(([name, value]) => [name.slice(prefix.length), value]));
}
