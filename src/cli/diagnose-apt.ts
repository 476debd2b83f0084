/** Whether apt is led to this daemon, and what else decides about its proxy. No input, no output. */
import { hostProxies } from "./apt-config.ts";
import type { AptConfig, SourceHost } from "./apt-config.ts";
import type { ProbeState, TextFile } from "./apt-wiring.ts";
import { note, well, wrong } from "./finding.ts";
import type { Finding } from "./finding.ts";
import type { ProgramResult } from "./run-program.ts";

export interface AptFacts {
  /** Path of the program that apt is to ask. */
  readonly probe: string;
  readonly probeState: ProbeState;
  readonly marker: string;
  readonly disabled: boolean;
  /** undefined: apt does not tell. */
  readonly config: AptConfig | undefined;
  /** apt's own configuration files. */
  readonly files: readonly TextFile[];
  readonly sources: readonly SourceHost[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The probe was asked for this URI, and has answered this. undefined: it is not ready. */
  readonly asked: { readonly uri: string; readonly result: ProgramResult } | undefined;
  /** Undefined: the configuration is wrong. */
  readonly settings: { readonly port: number; readonly directHosts: readonly string[] } | undefined;
  /** A daemon has answered on its control socket. */
  readonly daemonRuns: boolean;
}

/** Longer than this, users notice it in every run of apt; a frozen daemon costs half a second. */
const slowMs = 700;

const reinstall =
  "Removed configuration files come back by: apt-get install --reinstall -o Dpkg::Options::=--force-confmiss apt-p2p";

export function diagnoseApt(facts: AptFacts): readonly Finding[] {
  return [
    ...wiringFindings(facts),
    ...otherProxies(facts),
    ...hiddenFindings(facts),
    ...environmentFindings(facts),
    ...exceptions(facts),
    ...answerFindings(facts),
    ...httpsFindings(facts),
  ];
}

/** The line in apt's configuration, the program that it names, and the marker. */
function wiringFindings(facts: AptFacts): Finding[] {
  const { config, disabled, marker, probe, probeState } = facts;
  const findings: Finding[] = [];
  if (config === undefined) {
    const advice = "apt-config dump shows why: one of its configuration files may be damaged.";
    findings.push(wrong("apt does not tell its configuration", advice));
  } else {
    findings.push(lineFinding(facts, config));
  }
  if (probeState !== "ready") {
    const text = `${probe}, which apt is to ask, is ${probeState}`;
    const advice =
      probeState === "missing"
        ? `apt fetches nothing at all while its configuration names it. ${reinstall}`
        : `apt fetches nothing at all while its configuration names it. Mend it by: chmod 755 ${probe}`;
    findings.push(wrong(text, advice));
  }
  if (disabled) {
    const advice = `${marker} is there. apt-p2p enable undoes that.`;
    findings.push(note("apt is led past this daemon, as apt-p2p disable wants it", advice));
  }
  return findings;
}

const autoDetect = "acquire::http::proxy-auto-detect";
/** Its name in old versions of apt, which counts less. */
const oldAutoDetect = "acquire::http::proxyautodetect";

function lineFinding(facts: AptFacts, config: AptConfig): Finding {
  const { probe } = facts;
  const named = [config.get(autoDetect), config.get(oldAutoDetect)].find(
    (value) => value !== undefined && value !== "",
  );
  if (named === probe) return well(`apt asks ${probe} for its proxy`);
  if (named === undefined) {
    const line = `Acquire::http::Proxy-Auto-Detect "${probe}";`;
    return wrong(
      `apt does not ask ${probe} for its proxy`,
      `/etc/apt/apt.conf.d/30apt-p2p should say: ${line} ${reinstall}`,
    );
  }
  return wrong(
    `apt asks ${named} for its proxy instead of ${probe}${whereIs(facts.files, named)}`,
    "apt asks one program only, and the file that is read last counts. Remove the line or the package that it belongs to.",
  );
}

/** A proxy for all hosts: apt's own setting. The probe steps back for it. */
function otherProxies({ config, files, settings }: AptFacts): Finding[] {
  const proxy = config?.get("acquire::http::proxy") ?? "";
  if (proxy === "") return [];
  const text = `apt's setting Acquire::http::Proxy is ${proxy}${whereIs(files, proxy)}`;
  if (isOurs(proxy, settings?.port)) {
    const advice =
      "It is not needed, and fails whenever apt does not ask apt-proxy while the daemon is stopped. https sources pass through as a tunnel because of it.";
    return [note(text, advice)];
  }
  const advice =
    proxy.toUpperCase() === "DIRECT"
      ? 'It counts more than apt-p2p, so this daemon is not used. Remove it, or name single hosts: Acquire::http::Proxy::HOST "DIRECT";'
      : "It counts more than apt-p2p, so this daemon is not used: it reaches mirrors without a proxy and might find none. If they can be reached directly, remove that setting.";
  return [wrong(text, advice)];
}

/** The probe cannot rule out that a proxy stands in them, and steps back. */
function hiddenFindings({ config, files }: AptFacts): Finding[] {
  const hidden = files.filter(({ open }) => !open).map(({ path }) => path);
  if (hidden.length === 0 || (config?.get("acquire::http::proxy") ?? "") !== "") return [];
  return [
    wrong(
      `apt-proxy, which runs as _apt, cannot read ${someOf(hidden)}`,
      "A proxy could be set there, so apt is left alone and this daemon not used. Make it readable by: chmod o+r FILE. Passwords belong into /etc/apt/auth.conf.d instead.",
    ),
  ];
}

function isOurs(proxy: string, port: number | undefined): boolean {
  const match = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):(\d+)\/?$/i.exec(proxy);
  return match !== null && Number(match[1]) === port;
}

/** Of this shell; apt may be run from elsewhere, with another one. */
function environmentFindings({ config, environment, settings }: AptFacts): Finding[] {
  const findings: Finding[] = [];
  const proxy = environment["http_proxy"] ?? "";
  const overridden = (config?.get("acquire::http::proxy") ?? "") !== "";
  if (proxy !== "" && !overridden && !isOurs(proxy, settings?.port)) {
    const advice =
      "apt that is run with this variable uses that proxy and not this daemon; sudo and systemd usually pass no such variable on.";
    findings.push(note(`http_proxy is ${proxy} in this environment`, advice));
  }
  const except = environment["no_proxy"] ?? "";
  if (except !== "") {
    const advice = "apt that is run with this variable goes to these hosts directly.";
    findings.push(note(`no_proxy is ${except} in this environment`, advice));
  }
  return findings;
}

/** Single hosts that do not go through. */
function exceptions({ config, settings }: AptFacts): Finding[] {
  const direct = settings?.directHosts ?? [];
  return [
    ...(direct.length === 0
      ? []
      : [note(`Led past this daemon by apt.direct_hosts: ${someOf(direct)}`)]),
    ...hostProxies(config ?? new Map<string, string>())
      .slice(0, mostShown)
      .map(([host, value]) => note(`apt's own setting for the host ${host} is ${value}`)),
  ];
}

function answerFindings(facts: AptFacts): Finding[] {
  const { asked, probe } = facts;
  if (asked === undefined) return [];
  const { result, uri } = asked;
  const mend = `Compare it with the one of the package. ${reinstall}`;
  if (result.kind === "failed") return [wrong(`${probe} fails: ${result.reason}`, mend)];
  const findings: Finding[] = [];
  const tookMs = Math.round(result.tookMs);
  if (result.status !== 0) {
    findings.push(wrong(`${probe} ends with ${result.status}, so that apt fails`, mend));
  }
  if (result.err !== "") findings.push(wrong(`${probe} writes errors that apt shows`, mend));
  if (tookMs > slowMs) {
    const advice = "apt waits for it once for each host and run. Is this machine overloaded?";
    findings.push(wrong(`${probe} takes ${tookMs} ms`, advice));
  }
  return [...findings, meaning(facts, { uri, answer: result.out.trim(), tookMs })];
}

/** What apt is told, and whether that is as it should be. */
function meaning(
  { daemonRuns, disabled, settings }: AptFacts,
  { uri, answer, tookMs }: { uri: string; answer: string; tookMs: number },
): Finding {
  const text = `For ${uri} apt is told ${answer === "" ? "nothing" : answer}, in ${tookMs} ms`;
  if (isOurs(answer, settings?.port)) return well(text);
  if (answer !== "DIRECT") return note(text, "The reason is named above.");
  if (disabled) return note(text);
  if (!daemonRuns) return note(text, "No daemon answers, so apt goes to the mirrors by itself.");
  return wrong(
    text,
    "The daemon does not answer there within half a second. Either it listens elsewhere (proxy.port, proxy.bind), or it is stuck: journalctl -u apt-p2p",
  );
}

function httpsFindings({ config, settings, sources }: AptFacts): Finding[] {
  const hosts = sources.filter(({ scheme }) => scheme === "https").map((each) => each.authority);
  if (hosts.length === 0) return [];
  const proxies = ["acquire::https::proxy", "acquire::http::proxy"].map((name) =>
    config?.get(name),
  );
  const tunnelled = proxies.some((proxy) => isOurs(proxy ?? "", settings?.port));
  const how = tunnelled ? "pass through as tunnels" : "are fetched by apt itself";
  return [
    note(
      `Sources with https ${how}, unread and unshared: ${someOf(hosts)}`,
      "To share them as well, write http in apt's sources and name the hosts in mirror.https_hosts: the daemon then fetches with https.",
    ),
  ];
}

const mostShown = 8;

function someOf(names: readonly string[]): string {
  const rest = names.length - mostShown;
  return names.slice(0, mostShown).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

/** ` (in FILE)`: those of apt's files that name it outside of comments. */
function whereIs(files: readonly TextFile[], value: string): string {
  const named = files.filter(({ text }) =>
    text.split("\n").some((line) => !/^\s*(?:#|\/\/)/.test(line) && line.includes(`"${value}"`)),
  );
  return named.length === 0 ? "" : ` (in ${someOf(named.map(({ path }) => path))})`;
}
