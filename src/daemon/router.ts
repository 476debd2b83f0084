/**
 * The ports that the router passes on to this daemon, if the administrator wants that: asked for when
 * the daemon serves others, renewed long before they end, given back when it stops. Whatever goes
 * wrong here is told in the status and tried again; nothing waits for it.
 */
import type { Counters } from "../base/counters.ts";
import { scopeOf } from "../base/endpoint.ts";
import { errorText } from "../base/errors.ts";
import type { Clock, Log } from "../base/ports.ts";
import { hour, minute, second } from "../base/units.ts";
import { defaultGateway } from "../io/default-gateway.ts";
import type { Mapped, MappingWish, RouterRound } from "../io/router-round.ts";
import type { RouterReport } from "../status/router-report.ts";
import type { LiveConfig } from "./live-config.ts";

export interface RouterParts {
  readonly clock: Clock;
  readonly counters: Counters;
  readonly log: Log;
  /** See io/port-mapping.ts, which is loaded when it is first needed. */
  readonly ask?: (round: RouterRound, signal: AbortSignal) => Promise<Mapped>;
  readonly gateway?: () => string | undefined;
}

/** What others have to reach; undefined: this daemon has no such port for others. */
export interface OutsidePorts {
  readonly tcpPort: number | undefined;
  readonly udpPort: number | undefined;
}

/** As RFC 6886 recommends, renewed at half of it: who crashes leaves nothing behind for long. */
const lifetimeMs = 2 * hour;
const renewMs = lifetimeMs / 2;
/** Both languages with all their patience take half of this. */
const roundMs = 40 * second;
/** Stopping waits no longer; the mapping then ends by itself. */
const farewellMs = 2 * second;
/** A router that is restarted, or a notebook in another network. */
const firstAgainMs = minute;
const mostAgainMs = hour;

export class DaemonRouter {
  readonly #parts: RouterParts;
  readonly #live: LiveConfig;
  #wishes: readonly MappingWish[] = [];
  #report: RouterReport = { state: "off" };
  #mapped: Mapped | undefined;
  #againMs = firstAgainMs;
  #cancelTimer: () => void = () => undefined;
  #running = new AbortController();
  /** The rounds, one after another; never rejects. */
  #last: Promise<void> = Promise.resolve();
  #wanted = false;

  constructor(parts: RouterParts, live: LiveConfig) {
    this.#parts = parts;
    this.#live = live;
    live.onChange(() => this.#follow());
  }

  report(): RouterReport {
    return this.#report;
  }

  /** The daemon can be reached at these. */
  start({ tcpPort, udpPort }: OutsidePorts): void {
    this.#wishes = [
      ...(tcpPort === undefined ? [] : [{ protocol: "TCP", port: tcpPort } as const]),
      ...(udpPort === undefined ? [] : [{ protocol: "UDP", port: udpPort } as const]),
    ];
    this.#follow();
  }

  /** Gives back what was mapped, if the router is quick. Never rejects. */
  async close(): Promise<void> {
    this.#wishes = [];
    this.#follow();
    await this.#last;
  }

  #follow(): void {
    const wanted = this.#live.now.router.mapPort && this.#wishes.length > 0;
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#cancelTimer();
    this.#running.abort();
    this.#running = new AbortController();
    if (wanted) this.#map();
    else this.#last = this.#last.then(() => this.#unmap());
  }

  #map(): void {
    const { signal } = this.#running;
    if (this.#mapped === undefined) this.#report = { state: "asking" };
    this.#last = this.#last.then(() => this.#mapOnce(signal));
  }

  async #mapOnce(signal: AbortSignal): Promise<void> {
    const { clock, counters, log, gateway = defaultGateway } = this.#parts;
    const round: RouterRound = {
      ...{ kind: "map", wishes: this.#wishes, gateway: gateway() },
      ...{ lifetimeSeconds: lifetimeMs / second, description: "apt-p2p" },
    };
    let nextMs = renewMs;
    try {
      const mapped = await this.#ask(round, roundMs, signal);
      this.#mapped = mapped;
      this.#againMs = firstAgainMs;
      counters.add("daemon.router.mapped");
      this.#report = reportOf(mapped, clock.wallMs() + lifetimeMs);
      log.info("router", { by: mapped.how.by, outside: mapped.externalAddress });
    } catch (thrown) {
      if (signal.aborted) return;
      counters.add("daemon.router.failed");
      log.warn("router.failed", { error: errorText(thrown) });
      nextMs = this.#againMs;
      this.#againMs = Math.min(2 * this.#againMs, mostAgainMs);
      const againAtMs = clock.wallMs() + nextMs;
      this.#report = { state: "failed", reason: errorText(thrown), againAtMs };
    }
    if (!signal.aborted) this.#cancelTimer = clock.after(nextMs, () => this.#map());
  }

  async #unmap(): Promise<void> {
    const mapped = this.#mapped;
    this.#mapped = undefined;
    this.#report = { state: "off" };
    if (mapped === undefined) return;
    const { counters, log } = this.#parts;
    const { mappings: wishes, how } = mapped;
    try {
      await this.#ask({ kind: "unmap", wishes, how }, farewellMs, this.#running.signal);
      counters.add("daemon.router.released");
      log.info("router.released", { by: how.by });
    } catch (thrown) {
      log.warn("router.not-released", { by: how.by, error: errorText(thrown) });
    }
  }

  async #ask(round: RouterRound, withinMs: number, signal: AbortSignal): Promise<Mapped> {
    const late = new AbortController();
    const cancel = this.#parts.clock.after(withinMs, () => late.abort());
    try {
      const ask = this.#parts.ask ?? (await import("../io/port-mapping.ts")).askRouter;
      return await ask(round, AbortSignal.any([signal, late.signal]));
    } finally {
      cancel();
    }
  }
}

function reportOf({ how, mappings, externalAddress }: Mapped, untilMs: number): RouterReport {
  const other = mappings.find(({ port, externalPort }) => port !== externalPort);
  const nested = externalAddress !== undefined && scopeOf(externalAddress) !== "global";
  const problem =
    other !== undefined
      ? `the router gave port ${other.externalPort} instead of ${other.port}, which others do not know; choose another port`
      : nested
        ? `the router's own address ${externalAddress} is not one of the internet: it is behind another router`
        : undefined;
  const shown = mappings.map(({ protocol, port, externalPort }) => ({
    ...{ protocol, port, externalPort },
  }));
  return { state: "mapped", by: how.by, mappings: shown, externalAddress, untilMs, problem };
}
