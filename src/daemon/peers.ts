/**
 * Peers in the daemon: who is known, what is taken from them, what is given to them. With
 * `dht.share = none` there is none of it: nothing is asked of anybody, and nothing given.
 */
import type { Archive } from "../archive/archive.ts";
import type { Counters } from "../base/counters.ts";
import { endpoint, familyOf, scopeOf } from "../base/endpoint.ts";
import { errorText } from "../base/errors.ts";
import type { Clock, Hashes, Log } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { KeyValue } from "../base/storage.ts";
import { minute } from "../base/units.ts";
import { version } from "../base/version.ts";
import type { Store } from "../cache/store.ts";
import type { DhtService } from "../engine/dht-service.ts";
import type { Downloads } from "../engine/downloads.ts";
import { PeerFinder } from "../engine/finder.ts";
import { Neighbours } from "../engine/neighbours.ts";
import { PeerAnswers } from "../engine/peer-answers.ts";
import type { Mirror } from "../engine/ports.ts";
import { Sharing } from "../engine/sharing.ts";
import { Swarm } from "../engine/swarm.ts";
import { UnfinishedShare } from "../engine/unfinished-share.ts";
import { UploadAllowance } from "../engine/upload-allowance.ts";
import { GotPeers } from "../io/got-peers.ts";
import { ownAddresses } from "../io/network-dial.ts";
import { resolveBootstrap } from "../io/resolve-bootstrap.ts";
import { secureRandom } from "../io/secure-random.ts";
import { Bans, type Ban } from "../swarm/bans.ts";
import { Patience } from "../swarm/patience.ts";
import { defaultUploadLimits, UploadGate, type UploadLimits } from "../swarm/upload-gate.ts";
import type { SwarmSources } from "../status/swarm-report.ts";
import type { LiveConfig } from "./live-config.ts";
import type { MemoryGuard } from "./memory-guard.ts";
import { nearTest } from "./near.ts";

export interface DaemonPeersParts {
  readonly kv: KeyValue;
  readonly log: Log;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly hashes: Hashes;
  readonly archive: Archive;
  readonly store: Store;
  readonly mirror: Mirror;
  /** undefined: no part in the DHT, or not yet. */
  readonly dht: () => DhtService | undefined;
  readonly memory: MemoryGuard;
}

const banPrefix = "peers!ban!";
/** Configured neighbours are looked up again so often: their addresses may change. */
const resolveMs = 10 * minute;

export class DaemonPeers {
  readonly sharing: Sharing;
  readonly neighbours: Neighbours;
  readonly finder: PeerFinder;
  readonly swarm: Swarm;
  readonly port: GotPeers;
  readonly bans: Bans;
  readonly isNear = nearTest();
  readonly #parts: DaemonPeersParts;
  readonly #live: LiveConfig;
  readonly #allowance: UploadAllowance;
  readonly #gate: UploadGate;
  #downloads: Downloads | undefined;
  #tcpPort: number | undefined;
  #cancelResolve: () => void = () => undefined;
  #closed = false;

  private constructor(parts: DaemonPeersParts, live: LiveConfig, known: readonly Ban[]) {
    this.#parts = parts;
    this.#live = live;
    const { clock, counters, hashes, log, store, archive, mirror, kv, dht } = parts;
    const { share, lookupMinSizeBytes: leastBytes } = live.now.dht;
    const { isNear } = this;
    const io = { clock, counters, hashes, log, isNear, random: secureRandom };
    this.sharing = new Sharing(
      {
        ...{ ...io, store, listed: (digests) => archive.listed(digests) },
        listing: () => JSON.stringify(archive.size()),
        download: (sha256) => {
          const found = this.#underWay(sha256);
          return found === undefined
            ? undefined
            : { byHand: found.byHand, scope: found.share.scope };
        },
      },
      { share, leastBytes },
    );
    this.#allowance = new UploadAllowance(
      { kv, clock, log },
      {
        get hours() {
          return live.now.peers.uploadHours;
        },
        get monthBytes() {
          return live.now.peers.uploadMonthBytes;
        },
      },
    );
    this.#gate = new UploadGate(clock, this.#uploadLimits(), this.#allowance);
    const own = ownAddresses();
    this.port = new GotPeers({
      tcpPort: () => this.#tcpPort,
      mayDial: ({ address, port }) => {
        if (scopeOf(address) === "unusable" || isLinkLocal(address)) return false;
        // Others may still name it.
        if (this.bans.banned(address)) return false;
        return port !== this.#tcpPort || !own().has(address);
      },
      userAgent: `apt-p2p/${version}`,
    });
    this.bans = new Bans({ clock, counters }, known, (ban) => {
      const change = { key: `${banPrefix}${ban.who}`, value: JSON.stringify(ban) };
      kv.batch([change]).catch((thrown: unknown) => {
        log.warn("ban-not-recorded", { error: errorText(thrown) });
      });
    });
    this.neighbours = new Neighbours({ ...io, peers: this.port });
    this.finder = new PeerFinder({ ...io, neighbours: this.neighbours, dht, leastBytes });
    this.swarm = new Swarm({
      ...{ ...io, peers: this.port, mirror, finder: this.finder, bans: this.bans },
      patience: new Patience(),
      crowded: () => parts.memory.refuses("downloads"),
      pieceHashes: (sha256) => store.pieceHashes(sha256),
      announce: {
        unfinished: (sha256, sizeBytes) => this.sharing.unfinished(sha256, sizeBytes),
        ended: (sha256) => this.sharing.ended(sha256),
      },
    });
  }

  static async open(parts: DaemonPeersParts, live: LiveConfig): Promise<DaemonPeers> {
    const known: Ban[] = [];
    const nowMs = parts.clock.wallMs();
    for await (const [key, text] of parts.kv.range(banPrefix)) {
      const ban = parseBan(text);
      if (ban !== undefined && ban.untilMs > nowMs) known.push(ban);
      else await parts.kv.batch([{ key, value: undefined }]);
    }
    return new DaemonPeers(parts, live, known);
  }

  /** Whether anything is taken from peers. */
  get enabled(): boolean {
    return this.#live.now.dht.share !== "none";
  }

  /** What others get, of the store and of downloads. Called once. */
  serve(downloads: Downloads): PeerAnswers {
    const { store, clock, hashes, counters } = this.#parts;
    const { sharing, isNear } = this;
    this.#downloads = downloads;
    return new PeerAnswers(
      {
        ...{ store, clock, hashes, counters, isNear, random: secureRandom, shared: sharing },
        pieceHashes: (sha256) => store.pieceHashes(sha256),
        unfinished: (sha256) => {
          const found = this.#underWay(sha256);
          if (found === undefined) return undefined;
          return sharing.mayGiveUnfinished(sha256, found.byHand) ? found.share : undefined;
        },
        gate: this.#gate,
        crowded: () => this.#parts.memory.refuses("uploads"),
        heard: (endpoint) => this.neighbours.learn(endpoint),
      },
      { enabled: this.enabled, nearOnly: this.#live.now.dht.network === "lan" },
    );
  }

  /** For the status; `answers` and `downloads` are those of `serve`. */
  report(answers: PeerAnswers, downloads: Downloads): SwarmSources {
    return {
      enabled: this.enabled,
      files: () => downloads.sources.files(),
      givers: () => downloads.sources.peers(),
      takers: () => answers.uploads.peers(),
      neighbours: () => this.neighbours.status(),
      bans: () => this.bans.list(),
      monthBytes: () => this.#allowance.usedBytes,
    };
  }

  #underWay(
    sha256: Sha256,
  ): { readonly byHand: boolean; readonly share: UnfinishedShare } | undefined {
    const running = this.#downloads?.find(sha256);
    const session = running?.download.session;
    if (running === undefined || session === undefined) return undefined;
    const parts = { hashes: this.#parts.hashes, isNear: this.isNear };
    return {
      byHand: running.byHand,
      share: new UnfinishedShare(parts, running.download, session),
    };
  }

  #uploadLimits(): UploadLimits {
    const { peers } = this.#live.now;
    const rate = (value: number | "unlimited"): number =>
      value === "unlimited" ? Infinity : value;
    return {
      ...{ slots: peers.uploadSlots, slotsPerPeer: peers.uploadSlotsPerPeer },
      ...{ atOnce: defaultUploadLimits.atOnce, queue: 2 * peers.uploadSlots },
      farRate: rate(peers.uploadRateBytes),
      nearRate: rate(peers.lanUploadRateBytes),
      ratePerPeer: rate(peers.uploadRatePerPeerBytes),
    };
  }

  /** `tcpPort`: where peers are served; undefined: nowhere that others could reach. */
  start(tcpPort: number | undefined): void {
    this.#tcpPort = tcpPort;
    if (!this.enabled) return;
    this.sharing.start();
    this.#resolveNeighbours();
  }

  /** The configuration has changed. */
  reload(): void {
    this.#gate.change(this.#uploadLimits());
    if (this.enabled) this.#resolveNeighbours();
  }

  /** A machine of the own network has been heard. */
  heard(address: string, tcpPort: number): void {
    if (!this.enabled || tcpPort === 0 || isLinkLocal(address)) return;
    this.neighbours.learn(endpoint(address, tcpPort));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelResolve();
    this.swarm.close();
    this.neighbours.close();
    await this.sharing.stop();
    await this.#allowance.close();
    this.port.close();
  }

  #resolveNeighbours(): void {
    const { neighbours } = this.#live.now.peers;
    const { log, counters, clock } = this.#parts;
    this.#cancelResolve();
    if (this.#closed) return;
    if (neighbours.length === 0) {
      this.neighbours.configure([]);
      return;
    }
    resolveBootstrap(neighbours, { log, counters })
      .then((endpoints) => {
        // Meanwhile others may have been configured: those are being looked up as well.
        if (neighbours !== this.#live.now.peers.neighbours || this.#closed) return;
        this.neighbours.configure(endpoints);
      })
      .catch((thrown: unknown) => log.warn("neighbours-failed", { error: errorText(thrown) }));
    this.#cancelResolve = clock.after(resolveMs, () => this.#resolveNeighbours());
  }
}

/** Reached through one interface only, which a URL cannot name. */
function isLinkLocal(address: string): boolean {
  return familyOf(address) === 6 && /^fe[89ab]/i.test(address);
}

function parseBan(text: string): Ban | undefined {
  try {
    const { who, why, untilMs } = JSON.parse(text) as Partial<Ban>;
    const good = typeof who === "string" && typeof why === "string" && typeof untilMs === "number";
    return good ? { who, why, untilMs } : undefined;
  } catch {
    return undefined;
  }
}
