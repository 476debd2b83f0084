/**
 * Warm request rates by wrk (C, one thread), which is faster than every server here; without wrk the
 * project's own raw-socket client does it, and the result says so.
 */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { Connection, type Endpoint, type Wanted } from "./client.ts";
import { hasProgram } from "./workspace.ts";

/** wrk calls request() for each request; all are formatted once. */
const script = `
local requests, index = {}, 0
function init(args)
  wrk.headers["Host"] = os.getenv("BENCH_HOST")
  for line in io.lines(os.getenv("BENCH_TARGETS")) do
    requests[#requests + 1] = wrk.format("GET", line)
  end
end
function request()
  index = index % #requests + 1
  return requests[index]
end
function done(summary, latency)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read
    + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d\\n", summary.requests, summary.duration,
    summary.bytes, bad))
end
`;

export interface Rate {
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
}

export interface LoadOptions {
  readonly connections: number;
  readonly seconds: number;
  /** Directory for wrk's input files. */
  readonly directory: string;
}

export function loadGenerator(): "wrk" | "own client" {
  return hasProgram("wrk") ? "wrk" : "own client";
}

/** Request rate over the files in turn, for a while. Rejects if an answer was not 2xx or 3xx. */
export async function requestRate(
  endpoint: Endpoint,
  files: readonly Wanted[],
  options: LoadOptions,
): Promise<Rate> {
  return loadGenerator() === "wrk"
    ? byWrk(endpoint, files, options)
    : byOwnClient(endpoint, files, options);
}

async function byWrk(
  endpoint: Endpoint,
  files: readonly Wanted[],
  { connections, seconds, directory }: LoadOptions,
): Promise<Rate> {
  const scriptPath = `${directory}/load.lua`;
  const targetsPath = `${directory}/targets`;
  writeFileSync(scriptPath, script);
  writeFileSync(targetsPath, files.map(({ path }) => endpoint.target(path)).join("\n") + "\n");
  const env = { ...process.env, BENCH_TARGETS: targetsPath, BENCH_HOST: endpoint.host };
  const url = `http://127.0.0.1:${String(endpoint.port)}/`;
  const args = ["-t1", `-c${String(connections)}`, `-d${String(seconds)}s`, "--timeout", "20s"];
  const { stdout } = await promisify(execFile)("wrk", [...args, "-s", scriptPath, url], { env });
  const numbers = /^RESULT (\d+) (\d+) (\d+) (\d+)$/m.exec(stdout)?.slice(1).map(Number) ?? [];
  const [requests = 0, microseconds = 1, bytes = 0, bad = 0] = numbers;
  if (requests === 0 || bad > 0) throw new Error(`wrk: ${String(bad)} bad answers\n${stdout}`);
  const duration = microseconds / 1e6;
  return { requestsPerSecond: requests / duration, bytesPerSecond: bytes / duration };
}

async function byOwnClient(
  endpoint: Endpoint,
  files: readonly Wanted[],
  { connections, seconds }: LoadOptions,
): Promise<Rate> {
  let requests = 0;
  let bytes = 0;
  const started = performance.now();
  const end = started + seconds * 1000;
  const worker = async (): Promise<void> => {
    const connection = new Connection(endpoint);
    while (performance.now() < end) {
      const file = files[requests++ % files.length];
      if (file === undefined) break;
      const { status, bodyBytes } = await connection.fetch(file.path);
      if (status !== 200) throw new Error(`${file.path}: ${String(status)}`);
      bytes += bodyBytes;
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: connections }, worker));
  const duration = (performance.now() - started) / 1000;
  return { requestsPerSecond: requests / duration, bytesPerSecond: bytes / duration };
}
