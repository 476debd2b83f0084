/**
 * One host of a run: what happens to it, and whether it is still of use. A host that cannot be installed or started takes no further part; a run of apt that fails is
 * written down, and the host goes on.
 */
import type { Archive } from "../../test/kit/archive.ts";
import type { HostRun, LabHost, Settings } from "./host.ts";
import { Ledger } from "./ledger.ts";
import type { Member } from "./plan.ts";
import type { Event } from "./scenario.ts";

/** What was done, and how it went. */
export interface Action {
  readonly host: string;
  readonly phase: string;
  readonly do: Event["do"];
  /** Names of packages or the file; empty for others. */
  readonly what: string;
  /** From the start of the run. */
  readonly startedMs: number;
  readonly milliseconds: number;
  readonly ok: boolean;
  /** It failed, and the scenario says that it may. */
  readonly allowed: boolean;
  readonly trouble: string | undefined;
}

/** Files that hosts ask for by name. */
export interface Files {
  /** undefined: a foreign archive. */
  readonly archive: Archive | undefined;
  readonly mirrorUrl: string;
  /** Its path here, made when first asked for. */
  shared(name: string): { readonly path: string; readonly sha256: string };
}

export class Actor {
  readonly member: Member;
  readonly host: LabHost;
  readonly ledger: Ledger;
  /** What made it useless, or else undefined. */
  broken: string | undefined;
  /** How long its first start took; undefined: it did not. */
  readyMs: number | undefined;
  #state: "down" | "up" | "frozen" = "down";
  readonly #files: Files;

  constructor(member: Member, host: LabHost, files: Files) {
    this.member = member;
    this.host = host;
    this.#files = files;
    this.ledger = new Ledger(() => host.status());
  }

  get answering(): boolean {
    return this.broken === undefined && this.#state === "up";
  }

  /** Installs and starts; never throws: a failure makes it `broken`. */
  async prepare(settings: Settings): Promise<void> {
    try {
      await this.host.install(settings);
      const begunMs = performance.now();
      await this.host.start();
      this.readyMs = Math.round(performance.now() - begunMs);
      this.#state = "up";
    } catch (error) {
      this.broken = message(error);
    }
  }

  /** Does what an event asks of a host alone → undefined, or what went wrong and how long it took. */
  perform(event: Event): Promise<{ readonly milliseconds: number; readonly trouble?: string }> {
    switch (event.do) {
      case "update":
      case "install":
      case "get":
      case "share":
      case "forget":
        return this.#asked(event);
      case "start":
      case "stop":
      case "kill":
      case "restart":
      case "freeze":
      case "thaw":
        return timed(() => this.#changeState(event.do));
      case "churn":
      case "partition":
      case "heal":
      case "link":
        throw new Error(`${event.do} is not a host's business`);
    }
  }

  /** Everything as it was at the start: frozen daemons run again. */
  async settle(): Promise<void> {
    if (this.broken === undefined && this.#state === "frozen") await this.#changeState("thaw");
  }

  async #asked(
    event: Event & { readonly do: "update" | "install" | "get" | "share" | "forget" },
  ): Promise<{ readonly milliseconds: number; readonly trouble?: string }> {
    switch (event.do) {
      case "update":
        return judged(await this.host.apt(["update"], event.way));
      case "install":
        return this.#install(event);
      case "get":
        return this.#get(event.file);
      case "share":
        return judged(await this.host.share(this.#files.shared(event.file).path));
      case "forget":
        return timed(() => this.host.forget());
    }
  }

  async #install({ packages, way }: Event & { readonly do: "install" }): Promise<{
    readonly milliseconds: number;
    readonly trouble?: string;
  }> {
    const { archive } = this.#files;
    const names = packages.includes("all")
      ? (archive?.packages.map(({ name }) => name) ?? [])
      : packages;
    const run = judged(await this.host.apt(["install", "--download-only", ...names], way));
    if (run.trouble !== undefined || archive === undefined) return run;
    const held = await this.host.packages();
    const lacking = names.filter((name) => !held.has(archive.package(name).sha256));
    if (lacking.length === 0) return run;
    return { ...run, trouble: `missing or not the archive's: ${lacking.join(", ")}` };
  }

  async #get(file: string): Promise<{ readonly milliseconds: number; readonly trouble?: string }> {
    const { archive, mirrorUrl } = this.#files;
    const listed = archive?.packages.find(({ name }) => name === file);
    const { sha256 } = listed ?? this.#files.shared(file);
    const words =
      listed === undefined
        ? [`sha256:${sha256}`]
        : [`${mirrorUrl}/${listed.path}`, "--sha256", sha256];
    const run = await this.host.get(words);
    if (run.code === 0 && !run.output.includes(`${sha256}  -`)) {
      return { ...run, trouble: `what came is not ${file}: ${tail(run.output)}` };
    }
    return judged(run);
  }

  async #changeState(to: "start" | "stop" | "kill" | "restart" | "freeze" | "thaw"): Promise<void> {
    if (to === "freeze" && this.#state === "up") {
      await this.host.freeze();
      this.#state = "frozen";
    } else if (to === "thaw" && this.#state === "frozen") {
      await this.host.thaw();
      this.#state = "up";
    } else if (to === "start") {
      await this.#start();
    } else if (to === "stop" || to === "restart" || to === "kill") {
      await this.#end(to === "kill" ? "SIGKILL" : "SIGTERM");
      if (to === "restart") await this.#start();
    }
  }

  async #start(): Promise<void> {
    if (this.#state === "frozen") await this.host.thaw();
    if (this.#state === "down") await this.host.start();
    this.#state = "up";
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.#state === "up") await this.ledger.read().catch(() => undefined);
    this.#state = "down";
    await this.host.stop(signal);
    this.ledger.close();
  }
}

async function timed(work: () => Promise<unknown>): Promise<{ readonly milliseconds: number }> {
  const begunMs = performance.now();
  await work();
  return { milliseconds: performance.now() - begunMs };
}

/** apt ends an update with 0 although it got nothing, and says so. */
const complaint = /^(?:E: |W: Failed to fetch|W: Some index files)/m;

function judged({ code, output, milliseconds }: HostRun): {
  readonly milliseconds: number;
  readonly trouble?: string;
} {
  if (code === 0 && !complaint.test(output)) return { milliseconds };
  return { milliseconds, trouble: `exit ${code ?? "by a signal"}: ${tail(output)}` };
}

/** What apt complains about, else the end of what was said. */
function tail(output: string): string {
  const complaints = output.split("\n").filter((line) => /^[EW]: /.test(line));
  return (complaints.length > 0 ? complaints.join("; ") : output.trim()).slice(-600);
}

export function message(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 2000);
}
