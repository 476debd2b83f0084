/**
 * The DHT in the daemon: opens sockets and records, starts the service on them, and takes all down in
 * reverse. It comes after apt is being served: what goes wrong here costs peers, not apt.
 */
import type { Counters } from "../base/counters.ts";
import { familyOf } from "../base/endpoint.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Log } from "../base/ports.ts";
import type { KeyValue } from "../base/storage.ts";
import { version } from "../base/version.ts";
import type { Config } from "../config/options.ts";
import type { Serving } from "../engine/dht-gate.ts";
import { DhtService } from "../engine/dht-service.ts";
import type { DhtReport } from "../engine/dht-status.ts";
import type { Sharing } from "../engine/sharing.ts";
import { isLoopback } from "../engine/address-rules.ts";
import { StoredDhtRecords } from "../io/dht-records.ts";
import { tcpDialBack } from "../io/dial-back.ts";
import { LanDiscovery } from "../io/lan-discovery.ts";
import { ownAddresses } from "../io/network-dial.ts";
import { nodeHashes } from "../io/node-hashes.ts";
import { resolveBootstrap } from "../io/resolve-bootstrap.ts";
import { secret, secureRandom } from "../io/secure-random.ts";
import { systemClock } from "../io/system-clock.ts";
import { UdpSockets } from "../io/udp-sockets.ts";
import { nearTest } from "./near.ts";

export interface DaemonDhtParts {
  readonly kv: KeyValue;
  readonly log: Log;
  readonly counters: Counters;
  /** undefined: this daemon serves the DHT alone. */
  readonly files:
    | {
        readonly sharing: Sharing;
        /** A machine of the own network serves peers at this address and port. */
        readonly heard: (address: string, tcpPort: number) => void;
      }
    | undefined;
}

interface Running {
  readonly service: DhtService;
  readonly sockets: UdpSockets;
  readonly sharing: Sharing | undefined;
  readonly lan: LanDiscovery | undefined;
}

export class DaemonDht {
  readonly #parts: DaemonDhtParts;
  readonly #config: Config;
  /** What has been opened, last first; `close` undoes it. */
  readonly #undo: (() => Promise<unknown> | undefined)[] = [];
  #report: Exclude<DhtReport, { state: "on" }> = { state: "off" };
  #running: Running | undefined;
  #starting: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: DaemonDhtParts, config: Config) {
    this.#parts = parts;
    this.#config = config;
  }

  /**
   * `tcpPort`: what the proxy is bound to; undefined if there is none. Rejects with AptP2pError when
   * the UDP port cannot be had; then nothing stays open.
   */
  start(tcpPort: number | undefined): Promise<void> {
    this.#starting = this.#start(tcpPort);
    return this.#starting;
  }

  /** The service, as soon as there is one. */
  get running(): DhtService | undefined {
    return this.#running?.service;
  }

  /** The service. Throws an AptP2pError with the reason why there is none. */
  get service(): DhtService {
    if (this.#running !== undefined) return this.#running.service;
    const { state } = this.#report;
    throw new AptP2pError(state === "off" ? "CONFIG" : "CLOSED", whyNone(this.#report));
  }

  report(): DhtReport {
    const running = this.#running;
    if (running === undefined) return this.#report;
    const { service, sockets, sharing, lan } = running;
    return {
      ...{ state: "on", udpPort: sockets.port, lanDiscovery: lan !== undefined },
      ...{ sharing: sharing?.status(), ...service.status() },
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#starting.catch(() => undefined);
    this.#running = undefined;
    this.#report = { state: "stopped" };
    await this.#undoAll();
  }

  async #start(tcpPort: number | undefined): Promise<void> {
    if (!this.#config.dht.enabled) return;
    this.#report = { state: "starting" };
    try {
      await this.#open(tcpPort);
    } catch (thrown) {
      await this.#undoAll();
      this.#report = { state: "failed", reason: errorText(thrown) };
      throw thrown;
    }
  }

  async #open(tcpPort: number | undefined): Promise<void> {
    const { kv, log, counters, files } = this.#parts;
    const { dht, proxy } = this.#config;
    const io = { log, counters, clock: systemClock, random: secureRandom };
    const sockets = await UdpSockets.open({
      ...{ ...io, addresses: dht.udpBind, port: dht.udpPort },
    });
    this.#undo.push(() => sockets.close());
    const records = await StoredDhtRecords.load({ ...io, kv });
    this.#undo.push(() => records.close());
    if (this.#closed) return;
    const serving = tcpPort === undefined ? undefined : { tcpPort, addresses: proxy.bind };
    const service = new DhtService(
      {
        ...{ ...io, hashes: nodeHashes, secret, records, port: sockets },
        dialBack: tcpDialBack({ counters }),
        bootstrap: { endpoints: () => resolveBootstrap(dht.bootstrap, { log, counters }) },
        ownAddresses: ownAddresses(),
        isNear: nearTest(),
      },
      {
        families: dht.udpBind.map(familyOf),
        ...{ network: dht.network, version, share: dht.share, serving },
      },
    );
    records.release();
    sockets.onDatagram((from, bytes) => service.receive(from, bytes));
    service.start();
    this.#undo.push(() => {
      service.stop();
      return undefined;
    });
    const sharing = files?.sharing;
    sharing?.announceTo(service);
    this.#undo.push(() => {
      sharing?.announceTo(undefined);
      return undefined;
    });
    const lan = dht.lanDiscovery ? await this.#discover(service, sockets, serving) : undefined;
    this.#running = { service, sockets, sharing, lan };
    log.info("dht", { id: service.status().id, udpPort: sockets.port, network: dht.network });
  }

  async #discover(
    service: DhtService,
    sockets: UdpSockets,
    serving: Serving | undefined,
  ): Promise<LanDiscovery> {
    const { log, counters } = this.#parts;
    const open = serving?.addresses.every(isLoopback) === false;
    const discovery = await LanDiscovery.open({
      ...{ log, counters, clock: systemClock, random: secureRandom },
      ...{ id: service.id, udpPort: sockets.port, network: this.#config.dht.network },
      tcpPort: open ? serving.tcpPort : 0,
      found: ({ endpoint, zone, tcpPort }) => {
        if (zone !== undefined) sockets.learnZone(endpoint.address, zone);
        service.found(endpoint);
        this.#parts.files?.heard(endpoint.address, tcpPort);
      },
    });
    this.#undo.push(() => discovery.close());
    return discovery;
  }

  async #undoAll(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) {
      await undo()?.catch((thrown: unknown) =>
        this.#parts.log.error("stop.failed", { error: errorText(thrown) }),
      );
    }
  }
}

function whyNone(report: Exclude<DhtReport, { state: "on" }>): string {
  switch (report.state) {
    case "off":
      return "the daemon takes no part in the distributed hash table: dht.enabled is no";
    case "starting":
      return "the distributed hash table is still being started; ask again in a moment";
    case "stopped":
      return "the daemon is stopping";
    case "failed":
      return `the distributed hash table could not be started: ${report.reason}`;
  }
}
