/**
 * The daemon: puts the rooms together, starts them in order, and takes them down in reverse. What
 * was opened first closes last, so nothing ever uses something that is gone.
 */
import type http from "node:http";
import { Counters } from "../base/counters.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Log } from "../base/ports.ts";
import { second } from "../base/units.ts";
import { version } from "../base/version.ts";
import { isLoopback } from "../engine/address-rules.ts";
import { Engine } from "../engine/engine.ts";
import { DiskFiles } from "../io/disk-files.ts";
import { LevelKeyValue } from "../io/level-key-value.ts";
import { memoryLimitBytes } from "../io/memory-limit.ts";
import { nodeHashes } from "../io/node-hashes.ts";
import { probeSelf } from "../io/self-probe.ts";
import { systemClock } from "../io/system-clock.ts";
import type { SystemdNotify } from "../io/systemd-notify.ts";
import { Access } from "../proxy/access.ts";
import { proxyServer } from "../proxy/server.ts";
import { statusPage } from "../status/page.ts";
import { baseSnapshot, snapshot } from "../status/snapshot.ts";
import type { BaseSources, Snapshot } from "../status/snapshot.ts";
import { closeServer, within } from "./closing.ts";
import { listenControl, type ControlComponents } from "./control.ts";
import { DaemonDht } from "./dht.ts";
import { listenAll } from "./listen.ts";
import type { LiveConfig } from "./live-config.ts";
import { MemoryGuard } from "./memory-guard.ts";
import { DaemonPeers } from "./peers.ts";
import { ProcessReport } from "./process-report.ts";
import { openMemory, openMirror, type Common } from "./rooms.ts";
import { DaemonRouter } from "./router.ts";
import { bringUpToDate, versionKey } from "./schema.ts";
import { startWatchdog, type HealthCheck } from "./watchdog.ts";

/** What cannot be closed in this time is left: nothing depends on it, and systemd waits no longer. */
const stopMs = 8 * second;

export interface DaemonParts {
  readonly live: LiveConfig;
  readonly log: Log;
  readonly notify: SystemdNotify;
}

export class Daemon {
  readonly #live: LiveConfig;
  readonly #log: Log;
  readonly #notify: SystemdNotify;
  readonly #counters = new Counters();
  readonly #process = new ProcessReport();
  readonly #memory: MemoryGuard;
  readonly #router: DaemonRouter;
  /** What listens to others: closed first, all at once. */
  readonly #doors: (() => Promise<unknown>)[] = [];
  /** What stop() undoes after that, last first. */
  readonly #undo: (() => Promise<unknown>)[] = [];
  readonly #stopping = new AbortController();
  #starting: Promise<void> = Promise.resolve();

  constructor({ live, log, notify }: DaemonParts) {
    this.#live = live;
    this.#log = log;
    this.#notify = notify;
    const io = { clock: systemClock, counters: this.#counters, log };
    this.#memory = new MemoryGuard({
      ...io,
      limitBytes: memoryLimitBytes(),
      rssBytes: () => process.memoryUsage.rss(),
    });
    this.#router = new DaemonRouter(io, live);
  }

  /** Resolves when apt is served. Rejects CLOSED when it is stopped before, else with the reason. */
  start(): Promise<void> {
    this.#starting = this.#start();
    return this.#starting;
  }

  /** The DHT alone, so that others can join by it. */
  startDht(): Promise<void> {
    this.#starting = this.#startDht();
    return this.#starting;
  }

  /** Takes down what has been started. Never rejects, and takes no longer than `stopMs`. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (await within(stopMs, this.#close())) return;
    this.#log.warn("stop.incomplete", { afterMs: stopMs });
  }

  async #close(): Promise<void> {
    // A start that is under way ends at its next step; what it has opened is known then.
    const begun = this.#closeAll(this.#doors.splice(0));
    await this.#starting.catch(() => undefined);
    await Promise.all([begun, this.#closeAll(this.#doors.splice(0))]);
    for (const undo of this.#undo.reverse()) await this.#closeAll([undo]);
  }

  async #closeAll(all: readonly (() => Promise<unknown>)[]): Promise<void> {
    await Promise.all(
      all.map((each) =>
        each().catch((thrown: unknown) =>
          this.#log.error("stop.failed", { error: errorText(thrown) }),
        ),
      ),
    );
  }

  async #start(): Promise<void> {
    const live = this.#live;
    this.#memory.warn();
    const kv = await this.#database();
    const common = {
      ...{ kv, files: new DiskFiles(), hashes: nodeHashes, clock: systemClock },
      ...{ log: this.#log, counters: this.#counters },
    };
    const { archive, store } = await openMemory(common, live, this.#later);
    this.#goOn();
    const ways = openMirror(archive, live, this.#later);
    const mirror = ways.got;
    const peers = await DaemonPeers.open(
      { ...common, archive, store, mirror, memory: this.#memory, dht: () => dht.running },
      live,
    );
    this.#later(() => peers.close());
    const swarm = peers.enabled ? peers.swarm : undefined;
    const engine = this.#engine({ ...common, archive, store, mirror, swarm }, ways.pseudonym);
    const dht = this.#dht(common, peers);
    const answers = peers.serve(engine.transfers);
    let listening: readonly string[] = [];
    const status = (): Promise<Snapshot> =>
      snapshot({
        ...this.#baseSources(dht, () => listening),
        ...{ engine, store, archive, swarm: peers.report(answers, engine.transfers) },
      });
    const access = new Access(live.now.proxy);
    const get = {
      ...{ archive, store, downloads: engine.transfers, mirror, clock: systemClock },
      ...{ finder: peers.enabled ? peers.finder : undefined, peers: peers.port },
      ...{ banned: (address: string) => peers.bans.banned(address), uploads: answers.uploads },
    };
    await this.#listenControl({ archive, store, get }, dht, status);
    this.#goOn();
    const settings = {
      maxConnections: live.now.proxy.maxConnections,
      logRequests: () => live.now.log.requests,
    };
    const components = {
      ...{ access, engine, peers: answers, dial: ways.dial, clock: systemClock },
      ...{ counters: this.#counters, log: this.#log },
      page: async () => statusPage(await status()),
    };
    const { servers, addresses, port } = await listenAll(live.now.proxy, () =>
      proxyServer(components, settings),
    );
    listening = addresses;
    for (const server of servers) this.#doors.push(() => closeServer(server));
    this.#goOn();
    live.onChange(() => {
      access.change(live.now.proxy);
      peers.reload();
      this.#background("trim.failed", store.trim());
    });
    this.#ready(addresses, { proxy: proxyCheck(servers), ...memoryChecks(kv, common.files, live) });
    // Apt is served without them.
    const served = this.#servesOthers() ? port : undefined;
    peers.start(served);
    this.#background("dht.failed", this.#startOutside(dht, port, served));
    this.#background("lists.failed", archive.refreshLists());
    this.#background("offers.failed", store.scanOffers(this.#stopping.signal));
  }

  async #startDht(): Promise<void> {
    if (!this.#live.now.dht.enabled) {
      throw new AptP2pError("CONFIG", "--dht-only has nothing to do with dht.enabled = no");
    }
    const kv = await this.#database();
    const dht = new DaemonDht(
      { kv, log: this.#log, counters: this.#counters, files: undefined },
      this.#live.now,
    );
    this.#doors.push(() => dht.close());
    await dht.start(undefined);
    this.#goOn();
    const sources = this.#baseSources(dht, () => []);
    await this.#listenControl(undefined, dht, () => Promise.resolve(baseSnapshot(sources)));
    this.#ready([], memoryChecks(kv, new DiskFiles(), this.#live));
    this.#mapPorts(dht, undefined);
  }

  /** Between two steps of a start: it may have been asked to end. */
  #goOn(): void {
    if (this.#stopping.signal.aborted) throw new AptP2pError("CLOSED", "stopped while it started");
  }

  readonly #later = (close: () => Promise<unknown>): void => {
    this.#undo.push(close);
  };

  async #database(): Promise<LevelKeyValue> {
    const { stateDir } = this.#live.now.store;
    const kv = await LevelKeyValue.open(`${stateDir}/db`, this.#log);
    this.#later(() => kv.close());
    await bringUpToDate({ kv, log: this.#log, program: version, stateDirectory: stateDir });
    this.#goOn();
    return kv;
  }

  #engine(components: ConstructorParameters<typeof Engine>[0], pseudonym: string): Engine {
    const live = this.#live;
    const engine = new Engine(components, {
      get httpsHosts() {
        return live.now.mirror.httpsHosts;
      },
      get serveStale() {
        return live.now.mirror.serveStale;
      },
      documentsDirectory: `${live.now.store.stateDir}/documents`,
      pseudonym,
    });
    this.#later(() => engine.close());
    return engine;
  }

  #dht(common: Common, peers: DaemonPeers): DaemonDht {
    const { sharing } = peers;
    const heard = (address: string, tcpPort: number): void => peers.heard(address, tcpPort);
    const dht = new DaemonDht({ ...common, files: { sharing, heard } }, this.#live.now);
    this.#doors.push(() => dht.close());
    return dht;
  }

  async #startOutside(dht: DaemonDht, port: number, served: number | undefined): Promise<void> {
    try {
      await dht.start(port);
    } finally {
      this.#mapPorts(dht, served);
    }
  }

  #mapPorts(dht: DaemonDht, tcpPort: number | undefined): void {
    const report = dht.report();
    const udpPort = report.state === "on" ? report.udpPort : undefined;
    if (this.#stopping.signal.aborted) return;
    this.#doors.push(() => this.#router.close());
    this.#router.start({ tcpPort, udpPort });
  }

  /** Whether other machines can get anything here. */
  #servesOthers(): boolean {
    const { proxy, dht } = this.#live.now;
    return dht.share !== "none" && !proxy.bind.every(isLoopback);
  }

  #baseSources(dht: DaemonDht, listening: BaseSources["listening"]): BaseSources {
    return {
      ...{ counters: this.#counters, clock: systemClock, version, listening },
      ...{ dht: () => dht.report(), process: () => this.#process.facts() },
      ...{ router: () => this.#router.report(), memoryLimitBytes: this.#memory.limitBytes },
    };
  }

  async #listenControl(
    files: ControlComponents["files"],
    dht: DaemonDht,
    status: () => Promise<unknown>,
  ): Promise<void> {
    const { store: places, dht: options } = this.#live.now;
    const control = await listenControl(
      {
        ...{ files, dht, status, log: this.#log, ending: this.#stopping.signal },
        leastBytes: options.lookupMinSizeBytes,
      },
      `${places.stateDir}/control.sock`,
    );
    this.#doors.push(() => closeServer(control));
  }

  #ready(addresses: readonly string[], checks: Readonly<Record<string, HealthCheck>>): void {
    this.#log.info("ready", { version, listening: addresses.join(",") });
    const doing =
      addresses.length === 0 ? "serving the DHT" : `listening on ${addresses.join(", ")}`;
    void this.#notify.send("READY=1", `STATUS=${doing}`);
    const intervalMs = this.#notify.watchdogMs;
    if (intervalMs === undefined) return;
    const end = startWatchdog({
      ...{ intervalMs, checks, clock: systemClock, counters: this.#counters, log: this.#log },
      tell: () => this.#notify.send("WATCHDOG=1"),
    });
    this.#doors.push(() => {
      end();
      return Promise.resolve();
    });
  }

  /** Work that the daemon does not wait for; its failure is told, and stops nothing. */
  #background(event: string, work: Promise<unknown>): void {
    work.catch((thrown: unknown) => {
      const closed = thrown instanceof AptP2pError && thrown.code === "CLOSED";
      if (!closed) this.#log.warn(event, { error: errorText(thrown) });
    });
  }
}

/** apt gets answers. */
function proxyCheck(servers: readonly http.Server[]): HealthCheck {
  return async (signal) => {
    const bound = servers.map((server) => server.address());
    await Promise.all(
      bound.map(async (at) => {
        if (at === null || typeof at === "string") throw new AptP2pError("CLOSED", "it is closed");
        await probeSelf(at, "/~/alive", signal);
      }),
    );
  };
}

/** The database reads, and the threads that read files have not all got stuck. */
function memoryChecks(
  kv: LevelKeyValue,
  files: Pick<DiskFiles, "facts">,
  live: LiveConfig,
): Readonly<Record<string, HealthCheck>> {
  return {
    // A write would keep the disk of an idle machine awake; a full disk is no reason to restart.
    database: async () => {
      if (kv.get(versionKey) === undefined) throw new AptP2pError("STORAGE", "its version is gone");
      return Promise.resolve();
    },
    files: async () => {
      await files.facts(live.now.store.stateDir).catch(() => undefined);
    },
  };
}
