/**
 * The caches under test behind one face: start, empty, stop; a request line for a path of the
 * origin; the process to account for. All run on the same CPU, on the same disk, from one origin.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { AptRoot } from "../../test/kit/apt-root.ts";
import { aptSeconds } from "./apt.ts";
import type { Endpoint } from "./client.ts";
import { startCache } from "./nginx.ts";
import {
  freeLowPort,
  freePort,
  listening,
  sleep,
  type Program,
  type Workspace,
} from "./workspace.ts";

export type ServerName = "ours" | "nginx" | "apt-cacher-ng";

export interface CacheServer {
  readonly name: ServerName;
  readonly endpoint: Endpoint;
  readonly pid: () => number;
  /** Starts with whatever the last run left. */
  start(): Promise<void>;
  /**
   * Restarts with an empty cache: cold means that no package is held. Ours keeps the catalogue that
   * it has learned, if it was told to.
   */
  empty(): Promise<void>;
  stop(): Promise<void>;
}

export interface ServerPlan {
  readonly workspace: Workspace;
  /** Port of the origin. */
  readonly origin: number;
  /** Where the servers run. */
  readonly cpus: string;
}

/** A request names the origin in its request line, as apt does with a proxy: all three take that. */
function proxyEndpoint(port: number, origin: number): Endpoint {
  const host = `127.0.0.1:${String(origin)}`;
  return { port, host, target: (path) => `http://${host}${path}` };
}

/** The origin itself, for what apt does without a cache. */
export function directEndpoint(origin: number): Endpoint {
  return { port: origin, host: `127.0.0.1:${String(origin)}`, target: (path) => path };
}

export async function nginxServer(plan: ServerPlan): Promise<CacheServer> {
  const cache = plan.workspace.path("nginx-cache");
  const port = await freePort();
  return server("nginx", port, plan, {
    launch: async () => {
      const { workspace, origin, cpus } = plan;
      return (await startCache(workspace, origin, { cache, port, cpus })).program;
    },
    wipe: () => rmSync(cache, { recursive: true, force: true }),
  });
}

export async function aptCacherNgServer(plan: ServerPlan): Promise<CacheServer> {
  const directory = plan.workspace.path("apt-cacher-ng");
  const cache = join(directory, "cache");
  // It takes a port from 32768 on for the name of a service.
  const port = await freeLowPort();
  mkdirSync(join(directory, "conf"), { recursive: true });
  mkdirSync(join(directory, "log"), { recursive: true });
  const configuration = [
    `CacheDir: ${cache}`,
    `LogDir: ${join(directory, "log")}`,
    "SupportDir: /usr/lib/apt-cacher-ng",
    `Port: ${String(port)}`,
    "BindAddress: 127.0.0.1",
    `SocketPath: ${join(directory, "socket")}`,
    "ForeGround: 1",
    "AllowUserPorts: 0",
    "ExThreshold: 4",
    "",
  ];
  writeFileSync(join(directory, "conf/acng.conf"), configuration.join("\n"));
  return server("apt-cacher-ng", port, plan, {
    launch: async () => {
      mkdirSync(cache, { recursive: true });
      const command = ["/usr/sbin/apt-cacher-ng", "-c", join(directory, "conf")];
      const program = plan.workspace.start("apt-cacher-ng", command, { cpus: plan.cpus });
      await listening(program, port);
      return program;
    },
    wipe: () => rmSync(cache, { recursive: true, force: true }),
  });
}

function server(
  name: ServerName,
  port: number,
  plan: ServerPlan,
  { launch, wipe }: { readonly launch: () => Promise<Program>; readonly wipe: () => void },
): CacheServer {
  let program: Program | undefined;
  const stop = async (): Promise<void> => {
    await program?.stop();
    program = undefined;
  };
  const start = async (): Promise<void> => {
    program ??= await launch();
  };
  return {
    name,
    endpoint: proxyEndpoint(port, plan.origin),
    pid: () => program?.pid ?? 0,
    start,
    stop,
    empty: async () => {
      await stop();
      wipe();
      await start();
    },
  };
}

export interface DaemonPlan extends ServerPlan {
  /** Our compiled command line. */
  readonly entry: string;
  /** Further options for Node. */
  readonly nodeOptions: readonly string[];
  readonly sources: readonly string[];
  readonly keyringPath: string;
  /** Name of this daemon's directory in the workspace. */
  readonly label: string;
  /** apt's lists that the daemon may read at start; none if undefined. */
  readonly lists?: string;
}

export interface OurServer extends CacheServer {
  /** An apt root whose sources the daemon knows. */
  readonly root: AptRoot;
  readonly proxy: string;
  /**
   * Lets apt update through the daemon, so that it learns the catalogue, and keeps that state for
   * empty(). `look` may look at the process that has just learned it.
   */
  learn(look?: () => Promise<void>): Promise<void>;
  status(): Promise<DaemonStatus>;
  /**
   * Waits until its counters stand still: nothing is read or indexed any more → the longest time in
   * milliseconds that its event loop was held up meanwhile and since the last look.
   */
  settled(): Promise<number>;
}

/** What /status says, as far as the bench reads it. */
export interface DaemonStatus {
  readonly counters?: Readonly<Record<string, number>>;
  readonly archive?: { readonly rows?: number };
  readonly eventLoop?: { readonly maxStallMs?: number };
}

export async function ourServer(plan: DaemonPlan): Promise<OurServer> {
  const { workspace } = plan;
  const directory = workspace.path(plan.label);
  const learned = workspace.path(`${plan.label}-learned`);
  const port = await freePort();
  const root = new AptRoot({ sources: plan.sources, keyringPath: plan.keyringPath });
  const lists = plan.lists ?? join(directory, "empty-lists");
  mkdirSync(join(directory, "empty-lists"), { recursive: true });
  const config = join(directory, "apt-p2p.conf");
  writeFileSync(config, daemonConfiguration({ port, directory, root, lists }));
  const held = ["cache", "state"];
  const wipe = (): void => {
    for (const part of held) {
      rmSync(join(directory, part), { recursive: true, force: true });
      const kept = join(learned, part);
      if (existsSync(kept)) {
        cpSync(kept, join(directory, part), { recursive: true, preserveTimestamps: true });
      }
    }
  };
  const socket = join(directory, "state/control.sock");
  const usual = usualStart();
  const options = [...usual.nodeOptions, ...plan.nodeOptions];
  const command = [process.execPath, ...options, plan.entry, "daemon"];
  const launch = async (): Promise<Program> => {
    const program = workspace.start(plan.label, [...command, "--config", config], {
      cpus: plan.cpus,
      env: { ...process.env, ...usual.environment },
    });
    await listening(program, port);
    await readStatus(socket);
    return program;
  };
  const base = server("ours", port, plan, { launch, wipe });
  const proxy = `http://127.0.0.1:${String(port)}`;
  return {
    ...base,
    root,
    proxy,
    status: () => readStatus(socket),
    settled: () => settled(() => readStatus(socket)),
    learn: async (look) => {
      await base.start();
      await aptSeconds(root, ["update"], { proxy });
      await settled(() => readStatus(socket));
      await look?.();
      await base.stop();
      for (const part of held) {
        const from = join(directory, part);
        cpSync(from, join(learned, part), {
          recursive: true,
          preserveTimestamps: true,
          filter: (path) => !path.endsWith(".sock"),
        });
      }
      await base.start();
    },
  };
}

/** How `npm start` runs the daemon: the bench measures what users get. */
function usualStart(): {
  readonly nodeOptions: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
} {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { scripts } = JSON.parse(text) as { scripts: Record<string, string> };
  const found = /((?:\w+=\S+ )*)node ((?:--\S+ )*)dist\/cli\/main\.js/.exec(scripts["start"] ?? "");
  const words = (part: string | undefined): string[] => (part ?? "").split(" ").filter(Boolean);
  const environment = Object.fromEntries(
    words(found?.[1]).map((setting) => setting.split("=", 2) as [string, string]),
  );
  return { nodeOptions: words(found?.[2]), environment };
}

function daemonConfiguration(options: {
  readonly port: number;
  readonly directory: string;
  readonly root: AptRoot;
  readonly lists: string;
}): string {
  const { port, directory, root, lists } = options;
  return `[proxy]
port = ${String(port)}
bind = 127.0.0.1
[store]
cache_dir = ${directory}/cache
state_dir = ${directory}/state
offer_dirs =
[archive]
apt_config_dir = ${root.configDirectory}
apt_lists_dir = ${lists}
[mirror]
allow_upstreams = 127.0.0.1, localhost
[log]
level = info
`;
}

/** Waits until the counters stand still for half a second (at most 30 s) → longest stall, in ms. */
async function settled(status: () => Promise<DaemonStatus>): Promise<number> {
  let last = "";
  let still = 0;
  let stallMs = 0;
  for (let turn = 0; turn < 300 && still < 5; turn += 1) {
    const { counters = {}, archive, eventLoop } = await status();
    stallMs = Math.max(stallMs, eventLoop?.maxStallMs ?? 0);
    const now = JSON.stringify([counters, archive?.rows]);
    still = now === last ? still + 1 : 0;
    last = now;
    await sleep(100);
  }
  return stallMs;
}

/** GET /status over the daemon's control socket. */
export function readStatus(socketPath: string): Promise<DaemonStatus> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: "/status", timeout: 10_000 }, (answer) => {
      const parts: Buffer[] = [];
      answer.on("data", (part: Buffer) => parts.push(part));
      answer.once("error", reject);
      answer.once("end", () => {
        try {
          resolve(JSON.parse(Buffer.concat(parts).toString()) as DaemonStatus);
        } catch (error) {
          reject(new Error("the daemon's status is not JSON", { cause: error }));
        }
      });
    });
    asked.once("error", reject);
    asked.end();
  });
}
