/**
 * The daemon's side of the control socket: HTTP over a UNIX socket in the state directory, for this
 * program's own commands. Never on TCP, so no web page and no stranger can reach it.
 */
import { chmod, rm } from "node:fs/promises";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { Archive } from "../archive/archive.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Log } from "../base/ports.ts";
import { parseSha256 } from "../base/sha256.ts";
import type { Store } from "../cache/store.ts";
import { parseTarget } from "../engine/target.ts";

export interface ControlComponents {
  readonly archive: Archive;
  readonly store: Store;
  readonly log: Log;
  readonly status: () => Promise<unknown>;
}

/** What the progress of long work is told in; see cli/progress.ts. */
export interface Progress {
  readonly done: number;
  readonly total?: number;
  readonly bytes?: number;
  readonly totalBytes?: number;
  readonly note?: string;
}

type Tell = (progress: Progress) => void;

/** Listens; the socket's directory must be the daemon's alone (one daemon per state directory). */
export async function listenControl(
  components: ControlComponents,
  socketPath: string,
): Promise<http.Server> {
  const server = http.createServer((request, response) => {
    answer(components, request, response).catch((thrown: unknown) => fail(response, thrown));
  });
  await rm(socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, resolve);
  });
  await chmod(socketPath, 0o660);
  return server;
}

async function answer(
  components: ControlComponents,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  const { store, archive, status } = components;
  switch (`${request.method ?? ""} ${url.pathname}`) {
    case "GET /status":
      json(response, await status());
      return;
    case "GET /why":
      json(response, await why(archive, store, url.searchParams.get("url") ?? ""));
      return;
    case "GET /cache/stats":
      json(response, await store.stats());
      return;
    case "GET /cache/list":
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      for await (const file of store.list()) await line(response, file);
      response.end();
      return;
    case "POST /cache/verify":
      return work(response, (tell, signal) => store.verify(tell, signal));
    case "POST /cache/clean":
      return work(response, (tell) => store.clean(cleanChoice(url.searchParams), tell));
    case "POST /cache/import":
      return work(response, (tell, signal) =>
        store.import(url.searchParams.getAll("path"), tell, signal),
      );
    default:
      throw new AptP2pError("USAGE", `this daemon does not know ${url.pathname}`);
  }
}

function cleanChoice(query: URLSearchParams): Parameters<Store["clean"]>[0] {
  const name = query.get("name");
  if (name !== null) {
    const sha = parseSha256(name);
    return sha === undefined ? { name } : { sha };
  }
  const what = query.get("what");
  if (what === "all" || what === "unlisted") return what;
  throw new AptP2pError("USAGE", "clean wants what=all, what=unlisted or name=…");
}

/** Everything about one URL. Accepts the mirror's URL and both forms in which apt asks us. */
async function why(archive: Archive, store: Store, given: string): Promise<unknown> {
  const ours = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):\d+(\/.*)$/.exec(given);
  const target = parseTarget(ours?.[1] ?? given);
  if (target?.name === undefined) {
    throw new AptP2pError("USAGE", `not a URL of a file on a mirror: ${given}`);
  }
  await archive.settled(target.name);
  const explained = archive.explain(target.name);
  const first = explained.expectations[0]?.sha256;
  const sha256 = first === undefined ? undefined : parseSha256(first);
  const file = sha256 === undefined ? undefined : store.find(sha256);
  return {
    url: given,
    name: target.name,
    ...explained,
    held:
      file === undefined
        ? null
        : {
            sha256: file.sha256,
            sizeBytes: file.sizeBytes,
            verifiedAt: new Date(file.verifiedAtMs).toISOString(),
            path: file.path,
          },
  };
}

/** Long work: a line of progress now and then, the result as the last line. */
async function work(
  response: ServerResponse,
  run: (tell: Tell, signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  try {
    // A reader that cannot keep up misses lines of progress, not the result.
    const result = await run((progress) => {
      if (!response.writableNeedDrain) response.write(`${JSON.stringify({ progress })}\n`);
    }, gone.signal);
    response.end(`${JSON.stringify({ result })}\n`);
  } catch (thrown) {
    response.end(`${JSON.stringify({ error: described(thrown) })}\n`);
  }
}

function line(response: ServerResponse, value: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(`${JSON.stringify(value)}\n`, (error) => {
      if (error instanceof Error) reject(error);
      else resolve();
    });
  });
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(`${JSON.stringify(value)}\n`);
}

function fail(response: ServerResponse, thrown: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const problem = described(thrown);
  response.writeHead(problem.code === "USAGE" ? 400 : 500, { "content-type": "application/json" });
  response.end(`${JSON.stringify(problem)}\n`);
}

function described(thrown: unknown): { code: string; message: string } {
  return thrown instanceof AptP2pError
    ? { code: thrown.code, message: thrown.message }
    : { code: "STORAGE", message: errorText(thrown) };
}
