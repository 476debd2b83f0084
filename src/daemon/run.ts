/**
 * The daemon: puts the rooms together, starts them in order, and takes them down in reverse. What
 * was opened first closes last, so nothing ever uses something that is gone.
 */
import { randomBytes } from "node:crypto";
import type http from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Archive } from "../archive/archive.ts";
import { Counters } from "../base/counters.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Log } from "../base/ports.ts";
import { second } from "../base/units.ts";
import { version } from "../base/version.ts";
import { Store } from "../cache/store.ts";
import type { Config } from "../config/options.ts";
import type { ConfigResult } from "../config/parse.ts";
import { addressAllowed, isGlobal, isLoopback } from "../engine/address-rules.ts";
import { Engine } from "../engine/engine.ts";
import { storedBytes } from "../engine/stored-bytes.ts";
import { DiskFiles } from "../io/disk-files.ts";
import { GotMirror } from "../io/got-mirror.ts";
import { GpgSignatures } from "../io/gpg-signatures.ts";
import { journalLog } from "../io/journal-log.ts";
import { LevelKeyValue } from "../io/level-key-value.ts";
import { networkDial, ownAddresses } from "../io/network-dial.ts";
import { nodeHashes } from "../io/node-hashes.ts";
import { SpawnDecompressor } from "../io/spawn-decompressor.ts";
import { systemClock } from "../io/system-clock.ts";
import { notifySystemd, watchdogIntervalMs } from "../io/systemd-notify.ts";
import { Access } from "../proxy/access.ts";
import { proxyServer } from "../proxy/server.ts";
import { statusPage } from "../status/page.ts";
import { baseSnapshot, snapshot } from "../status/snapshot.ts";
import type { ProcessFacts, Snapshot } from "../status/snapshot.ts";
import { listenControl, type ControlComponents } from "./control.ts";
import { DaemonDht } from "./dht.ts";
import { listenAll } from "./listen.ts";
import { DaemonPeers } from "./peers.ts";

/** How long running answers may take to end after SIGTERM; apt resumes what is cut. */
const FAREWELL_MS = 2 * second;

export interface DaemonMode {
  /** Serves the DHT alone: no proxy, no store. */
  readonly dhtOnly: boolean;
}

/** Runs until a signal ends it → exit code 0. Rejects with AptP2pError when it cannot start. */
export async function runDaemon(
  config: Config,
  reread: () => ConfigResult,
  { dhtOnly }: DaemonMode,
): Promise<number> {
  let { log: logging } = config;
  const underSystemd = process.env["JOURNAL_STREAM"] !== undefined;
  const log = journalLog(() => logging.level, process.stdout, underSystemd);
  const daemon = new Daemon(config, { log, logRequests: () => logging.requests });
  // A fault of ours in one request must not take the others with it.
  process.on("unhandledRejection", (thrown) => {
    log.error("bug.unhandled", { error: thrown instanceof Error ? thrown.stack : String(thrown) });
  });
  const end = new Promise<string>((resolve) => {
    process.once("SIGTERM", resolve);
    process.once("SIGINT", resolve);
  });
  process.on("SIGHUP", () => {
    const result = reread();
    if ("config" in result) logging = result.config.log;
    const outcome = "config" in result ? "done" : "refused; see apt-p2p config check";
    log.info("reloaded", { outcome });
  });
  try {
    await (dhtOnly ? daemon.startDht() : daemon.start());
    const signal = await end;
    notifySystemd("--stopping");
    log.info("stopping", { signal });
  } finally {
    await daemon.stop();
  }
  log.info("stopped");
  return 0;
}

class Daemon {
  readonly #config: Config;
  readonly #log: Log;
  readonly #logRequests: () => boolean;
  readonly #counters = new Counters();
  /** What stop() undoes, last first. */
  readonly #undo: (() => Promise<unknown> | undefined)[] = [];
  readonly #stopping = new AbortController();

  constructor(config: Config, { log, logRequests }: { log: Log; logRequests: () => boolean }) {
    this.#config = config;
    this.#log = log;
    this.#logRequests = logRequests;
  }

  async start(): Promise<void> {
    const { store: places } = this.#config;
    const kv = await this.#database();
    const files = new DiskFiles();
    const common = {
      ...{ kv, files, hashes: nodeHashes, clock: systemClock, log: this.#log },
      counters: this.#counters,
    };
    const { archive, store } = await this.#memory(common);
    const mirror = this.#mirror(archive);
    const peers = await DaemonPeers.open(
      { ...common, archive, store, mirror: mirror.got, dht: () => dht.running },
      this.#config,
    );
    this.#undo.push(() => peers.close());
    const swarm = peers.enabled ? peers.swarm : undefined;
    const engine = new Engine(
      { ...common, archive, store, mirror: mirror.got, swarm },
      {
        httpsHosts: this.#config.mirror.httpsHosts,
        serveStale: this.#config.mirror.serveStale,
        documentsDirectory: `${places.stateDir}/documents`,
        pseudonym: mirror.pseudonym,
      },
    );
    this.#undo.push(() => engine.close());
    const { sharing } = peers;
    const heard = (address: string, tcpPort: number): void => peers.heard(address, tcpPort);
    const dht = new DaemonDht({ ...common, files: { sharing, heard } }, this.#config);
    this.#undo.push(() => dht.close());
    const answers = peers.serve(engine.transfers);
    let listening: readonly string[] = [];
    const status = (): Promise<Snapshot> =>
      snapshot({
        ...{ engine, store, archive, counters: this.#counters, clock: systemClock, version },
        swarm: peers.report(answers, engine.transfers),
        listening: () => listening,
        dht: () => dht.report(),
        process: this.#processFacts,
      });
    const components = {
      ...{ peers: answers, engine, counters: this.#counters, clock: systemClock, log: this.#log },
      access: new Access(this.#config.proxy),
      dial: networkDial(mirror.allowed, this.#config.mirror.connectTimeoutMs),
      page: async () => statusPage(await status()),
    };
    const { maxConnections } = this.#config.proxy;
    const get = {
      ...{ archive, store, downloads: engine.transfers, mirror: mirror.got, clock: systemClock },
      ...{ finder: peers.enabled ? peers.finder : undefined, peers: peers.port },
      ...{ banned: (address: string) => peers.bans.banned(address), uploads: answers.uploads },
    };
    await this.#listenControl({ archive, store, get }, dht, status);
    const { servers, addresses, port } = await listenAll(this.#config.proxy, () =>
      proxyServer(components, { maxConnections, logRequests: this.#logRequests }),
    );
    listening = addresses;
    this.#undo.push(() => Promise.all(servers.map(close)));
    this.#ready(addresses);
    // Apt is served without them.
    peers.start(this.#servesOthers() ? port : undefined);
    this.#background("dht.failed", dht.start(port));
    this.#background("lists.failed", archive.refreshLists());
    this.#background("offers.failed", store.scanOffers(this.#stopping.signal));
  }

  /** Whether other machines can get anything here. */
  #servesOthers(): boolean {
    const { proxy, dht } = this.#config;
    return dht.share !== "none" && !proxy.bind.every(isLoopback);
  }

  /** The DHT alone, so that others can join by it. */
  async startDht(): Promise<void> {
    if (!this.#config.dht.enabled) {
      throw new AptP2pError("CONFIG", "--dht-only has nothing to do with dht.enabled = no");
    }
    const kv = await this.#database();
    const parts = { kv, log: this.#log, counters: this.#counters, files: undefined };
    const dht = new DaemonDht(parts, this.#config);
    this.#undo.push(() => dht.close());
    await dht.start(undefined);
    await this.#listenControl(undefined, dht, () =>
      Promise.resolve(
        baseSnapshot({
          ...{ counters: this.#counters, clock: systemClock, version, listening: () => [] },
          ...{ dht: () => dht.report(), process: this.#processFacts },
        }),
      ),
    );
    this.#ready([]);
  }

  async #database(): Promise<LevelKeyValue> {
    const kv = await LevelKeyValue.open(`${this.#config.store.stateDir}/db`, this.#log);
    this.#undo.push(() => kv.close());
    return kv;
  }

  async #listenControl(
    files: ControlComponents["files"],
    dht: DaemonDht,
    status: () => Promise<unknown>,
  ): Promise<void> {
    const { store: places, dht: options } = this.#config;
    const control = await listenControl(
      {
        ...{ files, dht, status, log: this.#log, ending: this.#stopping.signal },
        leastBytes: options.lookupMinSizeBytes,
      },
      `${places.stateDir}/control.sock`,
    );
    this.#undo.push(() => close(control));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const undo of this.#undo.reverse()) {
      await undo()?.catch((thrown: unknown) =>
        this.#log.error("stop.failed", { error: errorText(thrown) }),
      );
    }
  }

  /** The two rooms that remember; each asks the other a little. */
  async #memory(
    common: Omit<
      ConstructorParameters<typeof Archive>[0],
      "signatures" | "decompressor" | "openStored"
    >,
  ): Promise<{ archive: Archive; store: Store }> {
    const { archive: apt, proxy, store: places } = this.#config;
    const held: { store?: Store } = {};
    const archive = new Archive(
      {
        ...common,
        signatures: new GpgSignatures(apt.aptConfigDir),
        decompressor: new SpawnDecompressor(),
        openStored: (sha256) =>
          held.store === undefined ? Promise.resolve(undefined) : storedBytes(held.store, sha256),
      },
      {
        tableDirectory: `${places.stateDir}/tables`,
        aptConfigDirectory: apt.aptConfigDir,
        aptListsDirectory: apt.aptListsDir,
        ownAuthorities: ["localhost", "127.0.0.1", "[::1]", ...proxy.hosts].map(
          (host) => `${host}:${proxy.port}`,
        ),
      },
    );
    this.#undo.push(() => archive.close());
    await archive.load();
    const store = await Store.open(
      { ...common, listed: (digests) => archive.listed(digests) },
      {
        directory: places.cacheDir,
        quotaBytes: places.quotaBytes,
        keepFreeBytes: places.keepFreeBytes,
        offerDirectories: places.offerDirs,
      },
    );
    held.store = store;
    this.#undo.push(() => store.close());
    return { archive, store };
  }

  #mirror(archive: Archive): {
    got: GotMirror;
    pseudonym: string;
    allowed: (host: string, address: string) => boolean;
  } {
    const { mirror } = this.#config;
    const configured = new Set(mirror.allowUpstreams.map((host) => host.toLowerCase()));
    const rules = {
      named: (host: string) => configured.has(host) || archive.hostsOfSources().has(host),
      own: ownAddresses(),
    };
    const allowed = (host: string, address: string): boolean =>
      addressAllowed(rules, host, address);
    const pseudonym = `apt-p2p-${randomBytes(6).toString("hex")}`;
    const got = new GotMirror({
      connectTimeoutMs: mirror.connectTimeoutMs,
      responseTimeoutMs: mirror.responseTimeoutMs,
      stallTimeoutMs: mirror.stallTimeoutMs,
      connectionsPerHost: mirror.connectionsPerHost,
      allowed,
      isGlobal,
      via: `1.1 ${pseudonym}`,
      userAgent: `apt-p2p/${version}`,
    });
    this.#undo.push(() => {
      got.close();
      return undefined;
    });
    return { got, pseudonym, allowed };
  }

  #ready(addresses: readonly string[]): void {
    this.#log.info("ready", { version, listening: addresses.join(",") });
    const doing =
      addresses.length === 0 ? "serving the DHT" : `listening on ${addresses.join(", ")}`;
    notifySystemd("--ready", `--status=${doing}`);
    const watchdogMs = watchdogIntervalMs();
    if (watchdogMs === undefined) return;
    const timer = setInterval(() => notifySystemd("WATCHDOG=1"), watchdogMs).unref();
    this.#undo.push(() => {
      clearInterval(timer);
      return undefined;
    });
  }

  /** Work that the daemon does not wait for; its failure is told, and stops nothing. */
  #background(event: string, work: Promise<unknown>): void {
    work.catch((thrown: unknown) => {
      const closed = thrown instanceof AptP2pError && thrown.code === "CLOSED";
      if (!closed) this.#log.warn(event, { error: errorText(thrown) });
    });
  }

  readonly #stalls = monitorEventLoopDelay({ resolution: 10 });

  readonly #processFacts = (): ProcessFacts => {
    this.#stalls.enable();
    const maxStallMs = this.#stalls.max / 1e6;
    this.#stalls.reset();
    const { user, system } = process.cpuUsage();
    return {
      pid: process.pid,
      uptimeMs: Math.round(process.uptime() * 1000),
      rssBytes: process.memoryUsage.rss(),
      cpuMs: Math.round((user + system) / 1000),
      maxStallMs: Math.round(maxStallMs),
    };
  };
}

/** No new connections; idle ones end now, busy ones with their answer, but soon. */
function close(server: http.Server): Promise<void> {
  return new Promise((resolve) => {
    const hurry = setTimeout(() => server.closeAllConnections(), FAREWELL_MS);
    server.close(() => {
      clearTimeout(hurry);
      resolve();
    });
    server.closeIdleConnections();
  });
}
