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
import { lookup, walk, withoutUs } from "./dht-control.ts";
import type { DaemonDht } from "./dht.ts";
import { seed, sendFile, share, type GetControlParts } from "./get-control.ts";

export interface ControlComponents {
  /** undefined: this daemon serves the DHT alone. */
  readonly files:
    { readonly archive: Archive; readonly store: Store; readonly get: GetControlParts } | undefined;
  readonly dht: DaemonDht;
  /** Smaller files are not looked up. */
  readonly leastBytes: number;
  readonly log: Log;
  readonly status: () => Promise<unknown>;
  /** Aborts when the daemon ends: long work then ends as well. */
  readonly ending: AbortSignal;
}

/** What the progress of long work is told in; see cli/progress.ts. */
export interface Progress {
  readonly done?: number;
  readonly total?: number;
  readonly bytes?: number;
  readonly totalBytes?: number;
  readonly note?: string;
}

type Tell = (progress: Progress) => void;
type TellLine = (line: Readonly<Record<string, unknown>>) => void;

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
  const asked = { what: `${request.method ?? ""} ${url.pathname}`, query: url.searchParams };
  if (url.pathname.startsWith("/cache/") || fileCommands.has(url.pathname)) {
    await answerFiles(components, asked, response);
    return;
  }
  const { status, dht, files, leastBytes } = components;
  switch (asked.what) {
    case "GET /status":
      json(response, await status());
      return;
    case "GET /dht/status":
      json(response, dht.report());
      return;
    case "GET /lookup": {
      const question = { what: asked.query.get("what") ?? "", hops: asked.query.has("hops") };
      const parts = { dht, archive: files?.archive, leastBytes };
      return stream(components, response, (tell, signal) => lookup(parts, question, tell, signal));
    }
    case "POST /dht/walk":
      return work(components, response, (tell, signal) =>
        walk(dht, ({ note }) => tell({ note }), signal),
      );
    default:
      throw new AptP2pError("USAGE", `this daemon does not know ${url.pathname}`);
  }
}

const fileCommands: ReadonlySet<string> = new Set(["/why", "/get", "/share", "/seed"]);

/** What only a daemon with files can say. */
async function answerFiles(
  components: ControlComponents,
  { what, query }: { readonly what: string; readonly query: URLSearchParams },
  response: ServerResponse,
): Promise<void> {
  if (components.files === undefined) {
    throw new AptP2pError("USAGE", "this daemon serves the DHT alone and has no files");
  }
  const { store, archive, get } = components.files;
  switch (what) {
    case "GET /get":
      return whileHere(components, response, (signal) => sendFile(get, query, response, signal));
    case "POST /share":
      return work(components, response, (tell, signal) => share(get, query, tell, signal));
    case "POST /seed":
      return work(components, response, (tell, signal) => seed(get, query, tell, signal));
    case "GET /why":
      json(response, await why(archive, store, query.get("url") ?? ""));
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
      return work(components, response, (tell, signal) => store.verify(tell, signal));
    case "POST /cache/clean":
      return work(components, response, async (tell) => {
        const what = cleanChoice(query);
        // A file that was offered by hand is only forgotten: it is not ours.
        if (typeof what === "object" && "sha" in what) await store.unshare(what.sha);
        return store.clean(what, tell);
      });
    case "POST /cache/import":
      return work(components, response, (tell, signal) =>
        store.import(query.getAll("path"), tell, signal),
      );
    default:
      throw new AptP2pError("USAGE", `this daemon does not know ${what}`);
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
  const target = parseTarget(withoutUs(given));
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
  components: Pick<ControlComponents, "ending">,
  response: ServerResponse,
  run: (tell: Tell, signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  await stream(components, response, (tell, signal) =>
    run((progress) => {
      // A reader that cannot keep up misses lines of progress, not the result.
      if (!response.writableNeedDrain) tell({ progress });
    }, signal),
  );
}

/** Lines as they come, the result as the last. Who asked may hang up; the daemon may end. */
async function stream(
  { ending }: Pick<ControlComponents, "ending">,
  response: ServerResponse,
  run: (tell: TellLine, signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  const tell: TellLine = (value) => void response.write(`${JSON.stringify(value)}\n`);
  try {
    const result = await run(tell, AbortSignal.any([gone.signal, ending]));
    response.end(`${JSON.stringify({ result })}\n`);
  } catch (thrown) {
    response.end(`${JSON.stringify({ error: described(thrown) })}\n`);
  }
}

/** Ends what is done for somebody who has hung up, or with the daemon. */
async function whileHere(
  { ending }: Pick<ControlComponents, "ending">,
  response: ServerResponse,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  await run(AbortSignal.any([gone.signal, ending]));
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

export function described(thrown: unknown): { code: string; message: string } {
  return thrown instanceof AptP2pError
    ? { code: thrown.code, message: thrown.message }
    : { code: "STORAGE", message: errorText(thrown) };
}
