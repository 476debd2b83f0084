/**
 * What a run needs of a host, whether it is a namespace of this machine or reached by ssh, and of all
 * hosts together. Whatever a host cannot do is an error with what it said.
 */
import type { Archive } from "../../test/kit/archive.ts";
import type { LabMirror } from "../../test/kit/lab-mirror.ts";
import type { LabLink, Scenario } from "./scenario.ts";
import type { Located, Member } from "./plan.ts";

export interface HostRun {
  /** null: killed. */
  readonly code: number | null;
  readonly output: string;
  /** As it took on the host, without ssh. */
  readonly milliseconds: number;
}

export type Settings = Readonly<Record<string, readonly string[]>>;

export interface LabHost {
  /** The program, the configuration file and a private root for apt are in place. */
  install(settings: Settings): Promise<void>;
  /** The daemon answers. */
  start(): Promise<void>;
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** `apt-get -q -y ARGS` in the private root. */
  apt(args: readonly string[], way: "daemon" | "direct"): Promise<HostRun>;
  /** SHA-256 of all packages that its apt holds. */
  packages(): Promise<ReadonlySet<string>>;
  /** apt forgets packages and lists. */
  forget(): Promise<void>;
  /** `apt-p2p get` into a digest: the last line of the output begins with it. */
  get(words: readonly string[]): Promise<HostRun>;
  /** A file of this machine is brought to the host and offered there. */
  share(path: string): Promise<HostRun>;
  /** `apt-p2p status --json`. */
  status(): Promise<HostStatus>;
  log(): Promise<string>;
}

export interface HostStatus {
  readonly version: string;
  readonly counters: Readonly<Record<string, number>>;
  readonly memory: { readonly rssBytes: number };
  readonly cpuMs: number;
}

/** The hosts of a run with what is around them. */
export interface LabBed {
  readonly kind: "namespaces" | "hosts";
  readonly places: readonly (Located & { readonly host: LabHost })[];
  /** undefined: a foreign archive is used. */
  readonly made: { readonly archive: Archive; readonly mirror: LabMirror } | undefined;
  /** What was asked for and cannot be had here, for the report. */
  readonly notes: readonly string[];
  /** What every host needs here; the scenario's own settings count more. */
  readonly settings: Settings;
  /** How many hosts are asked to do something at once while nothing is measured. */
  readonly width: number;
  /** Only in namespaces. */
  readonly network: LabNetwork | undefined;
  /** When the daemons run. */
  startLiars(): Promise<void>;
  close(): Promise<void>;
}

export interface LabNetwork {
  partition(members: readonly Member[]): void;
  heal(members: readonly Member[]): void;
  setLink(member: Member, link: LabLink): void;
}

/** A build of ours in a Debian package, one for each architecture; none: this checkout's. */
export interface BedOptions {
  readonly scenario: Scenario;
  readonly debs: readonly string[];
}
