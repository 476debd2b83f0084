/** A world in memory and a daemon's control socket in a temporary directory, for the commands' tests. */
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { ProgramResult, RunProgram } from "../../../src/cli/run-program.ts";
import type { World } from "../../../src/cli/world.ts";

export class FakeWorld implements World {
  readonly written = { out: "", err: "" };
  readonly directory: string;
  environment: Record<string, string> = {};
  isRoot = true;
  isTerminal = false;
  nowMs = Date.UTC(2026, 0, 2);
  /** What programs say, by the last part of their path. Others cannot be started. */
  programs: Record<string, ProgramResult> = {};

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), "apt-p2p-cli-"));
  }

  get out() {
    return {
      write: (text: string) => void (this.written.out += text),
      writeBytes: (bytes: Uint8Array) => {
        this.written.out += Buffer.from(bytes).toString("latin1");
        return Promise.resolve();
      },
      isTerminal: false,
      columns: 80,
    };
  }
  get err() {
    const write = (text: string): void => void (this.written.err += text);
    const writeBytes = (): Promise<void> => Promise.reject(new Error("no bytes go there"));
    return { write, writeBytes, isTerminal: this.isTerminal, columns: 80 };
  }
  get homeDirectory() {
    return join(this.directory, "home");
  }
  get workingDirectory() {
    return this.directory;
  }
  get systemConfigFile() {
    return join(this.directory, "etc", "apt-p2p.conf");
  }
  get systemStateDirectory() {
    return join(this.directory, "system-state");
  }
  runProgram: RunProgram = (file) =>
    Promise.resolve(
      this.programs[basename(file)] ?? { kind: "failed", reason: `spawn ${file} ENOENT` },
    );
  wallMs = (): number => this.nowMs;
  outliveReaders = (): void => undefined;

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Serves `answer` on `<directory>/control.sock` while `use` runs → what was asked for. */
export async function withDaemon(
  directory: string,
  answer: Answer,
  use: () => Promise<unknown>,
): Promise<string[]> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method ?? ""} ${request.url ?? ""}`);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(join(directory, "control.sock"), resolve));
  try {
    await use();
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  return asked;
}

/** Answers with one JSON value. */
export function json(value: unknown, status = 200): Answer {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  };
}

/** Answers with one JSON value per line, cut into chunks where it hurts. */
export function lines(values: readonly unknown[]): Answer {
  return (_request, response) => {
    const body = Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(""));
    for (let at = 0; at < body.length; at += 7) response.write(body.subarray(at, at + 7));
    response.end();
  };
}
