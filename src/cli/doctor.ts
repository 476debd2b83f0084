/**
 * `apt-p2p doctor`: gathers what decides whether apt uses this daemon and how well the daemon is,
 * and tells what to do. It changes nothing, and goes on whatever is missing.
 */
import { join } from "node:path";
import { AptP2pError, errorText } from "../base/errors.ts";
import { second } from "../base/units.ts";
import { version } from "../base/version.ts";
import type { Config } from "../config/options.ts";
import type { ConfigResult } from "../config/parse.ts";
import { problemText } from "../config/problems.ts";
import { parseAptDump, sourceHosts } from "./apt-config.ts";
import type { AptConfig, SourceHost } from "./apt-config.ts";
import { isDisabled, probeState, readTexts, wiringOf } from "./apt-wiring.ts";
import type { Control } from "./control.ts";
import { diagnoseApt } from "./diagnose-apt.ts";
import type { AptFacts } from "./diagnose-apt.ts";
import { diagnoseDaemon, diagnoseNetwork } from "./diagnose-daemon.ts";
import type { DaemonFacts } from "./diagnose-daemon.ts";
import { exitCodes } from "./exit-codes.ts";
import { amiss, findingsView, note, well, wrong } from "./finding.ts";
import type { Finding } from "./finding.ts";
import { jsonText, patienceMs } from "./queries.ts";
import type { ProgramBounds, ProgramResult } from "./run-program.ts";
import type { World } from "./world.ts";

export interface Consultation {
  readonly configuration: ConfigResult;
  /** The daemon that the configuration names, or the system's. */
  readonly control: Control;
  readonly json: boolean;
  readonly world: World;
}

export async function doctor({
  configuration,
  control,
  json,
  world,
}: Consultation): Promise<number> {
  const config = configuration.problems === undefined ? configuration.config : undefined;
  const daemon: DaemonFacts = {
    version,
    port: config?.proxy.port,
    answer: await askDaemon(control),
  };
  const apt = await aptFacts(config, daemon.answer.kind !== "silent", world);
  const topics = {
    Configuration: configurationFindings(configuration),
    apt: diagnoseApt(apt),
    Daemon: diagnoseDaemon(daemon),
    Network: diagnoseNetwork(daemon),
  };
  const shown = json ? jsonText(topics) : findingsView(topics, Math.min(world.out.columns, 100));
  world.out.write(shown);
  return amiss(topics) === 0 ? exitCodes.ok.code : exitCodes.found.code;
}

function configurationFindings(configuration: ConfigResult): Finding[] {
  if (configuration.problems !== undefined) {
    const advice = "Mend it, check with apt-p2p config check, then systemctl restart apt-p2p.";
    return configuration.problems.map((problem) => wrong(problemText(problem), advice));
  }
  const warnings = configuration.warnings.map((warning) => note(problemText(warning)));
  return [well("The configuration can be read"), ...warnings];
}

async function askDaemon(control: Control): Promise<DaemonFacts["answer"]> {
  try {
    const snapshot = await control.ask({ method: "GET", target: "/status", patienceMs });
    return { kind: "snapshot", snapshot };
  } catch (error) {
    const closed = error instanceof AptP2pError && error.code === "STORAGE";
    const reason = error instanceof AptP2pError ? error.message : errorText(error);
    return { kind: closed ? "closed" : "silent", reason };
  }
}

async function aptFacts(
  own: Config | undefined,
  daemonRuns: boolean,
  world: World,
): Promise<AptFacts> {
  const wiring = wiringOf(world);
  const directory = own?.archive.aptConfigDir ?? "/etc/apt";
  const sources = readTexts(
    join(directory, "sources.list"),
    join(directory, "sources.list.d"),
    /\.(?:list|sources)$/,
  ).flatMap(({ text }) => sourceHosts(text));
  const state = probeState(wiring);
  const directHosts = own?.apt.directHosts ?? [];
  const uri = sampleUri(sources, directHosts);
  const config = await aptConfig(world);
  return {
    ...wiring,
    probeState: state,
    disabled: isDisabled(wiring),
    config,
    // apt reads parts without an ending, too.
    files: readTexts(
      join(directory, "apt.conf"),
      join(directory, "apt.conf.d"),
      /^[A-Za-z0-9_-]+(?:\.conf)?$/,
    ),
    sources,
    environment: world.environment,
    asked:
      state === "ready"
        ? { uri, result: await askProbe(wiring.probe, uri, { config, world }) }
        : undefined,
    settings: own === undefined ? undefined : { port: own.proxy.port, directHosts },
    daemonRuns,
  };
}

/** Far beyond what the probe allows itself; apt would wait for ever. */
const probePatienceMs = 5 * second;

async function aptConfig(world: World): Promise<AptConfig | undefined> {
  const result = await world.runProgram("apt-config", ["dump"], { patienceMs });
  return result.kind === "ended" && result.status === 0 ? parseAptDump(result.out) : undefined;
}

/** As apt would: it runs the program as the user for whom nothing is at stake. */
async function askProbe(
  probe: string,
  uri: string,
  { config, world }: { readonly config: AptConfig | undefined; readonly world: World },
): Promise<ProgramResult> {
  const name = config?.get("apt::sandbox::user") ?? "_apt";
  const user = world.isRoot && name !== "root" ? await userOf(name, world) : undefined;
  return world.runProgram(probe, [uri], { patienceMs: probePatienceMs, user });
}

async function userOf(name: string, world: World): Promise<ProgramBounds["user"]> {
  const ask = async (what: string): Promise<number | undefined> => {
    const result = await world.runProgram("id", [what, name], { patienceMs });
    return result.kind === "ended" && /^\d+\n$/.test(result.out) ? Number(result.out) : undefined;
  };
  const [uid, gid] = [await ask("-u"), await ask("-g")];
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

/** A source that is to go through us, as apt would ask for it. */
function sampleUri(sources: readonly SourceHost[], directHosts: readonly string[]): string {
  const usual = sources.find(
    ({ scheme, authority }) =>
      scheme === "http" && /^[a-z]/.test(authority) && !isExcepted(authority, directHosts),
  );
  return `http://${usual?.authority ?? "ftp.us.debian.org"}/debian/dists/stable/InRelease`;
}

/** Roughly: what is kept out of the sample only because of this loses nothing. */
function isExcepted(authority: string, directHosts: readonly string[]): boolean {
  const host = authority.replace(/:\d+$/, "");
  const covers = (pattern: string): boolean =>
    host === pattern || host.endsWith(pattern.slice(pattern.startsWith("*") ? 1 : 0));
  return host === "localhost" || directHosts.some(covers);
}
