/**
 * The client side of the control socket: HTTP over a UNIX socket in the daemon's state directory.
 * Answers are JSON, or one JSON value per line (NDJSON) where they may be long. The daemon is
 * trusted as its directory's owner is, but nothing is read without bound.
 */
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { isErrorCode } from "./exit-codes.ts";
import { record } from "./facts.ts";

export interface Question {
  readonly method: "GET" | "POST";
  /** Path and query. */
  readonly target: string;
  /** Longest silence, in milliseconds, before the daemon counts as dead. */
  readonly patienceMs: number;
}

export class Control {
  readonly #sockets: readonly string[];

  /** `sockets`: the first that a daemon answers on is used. */
  constructor(sockets: readonly string[]) {
    this.#sockets = sockets;
  }

  /** One JSON value. Rejects with the daemon's own error, or NO_DAEMON, STORAGE, FORMAT. */
  async ask(question: Question): Promise<unknown> {
    const answer = await this.#open(question);
    return parseJson(await readAll(answer));
  }

  /** One JSON value per line, as they come. */
  async *lines(question: Question): AsyncGenerator<unknown, void> {
    const answer = await this.#open(question);
    let rest = "";
    answer.setEncoding("utf8");
    for await (const chunk of chunksOf(answer)) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      if (rest.length > limits.controlAnswerBytes) throw tooLong();
      for (const part of parts) if (part.trim() !== "") yield parseJson(part);
    }
    if (rest.trim() !== "") yield parseJson(rest);
  }

  /** A file as it comes, with what the daemon says of it (header fields). */
  async file(question: Question): Promise<{
    readonly facts: Readonly<Record<string, string | undefined>>;
    readonly body: AsyncIterable<Buffer>;
  }> {
    const answer = await this.#open(question);
    // Whoever reads slowly makes the daemon silent; only while bytes are waited for, that counts.
    answer.socket.setTimeout(0);
    const facts = Object.fromEntries(
      Object.entries(answer.headers).map(([name, value]) => [name, value?.toString()]),
    );
    return { facts, body: buffersOf(answer, question.patienceMs) };
  }

  async #open(question: Question): Promise<IncomingMessage> {
    let failure: unknown;
    for (const socket of this.#sockets) {
      try {
        const answer = await send(socket, question);
        if (answer.statusCode === 200) return answer;
        throw await refusal(answer);
      } catch (error) {
        // What the daemon itself says, or a missing permission, is the answer.
        if (!(error instanceof AptP2pError) || error.code !== "NO_DAEMON") throw error;
        failure ??= error;
      }
    }
    throw failure;
  }
}

function send(
  socketPath: string,
  { method, target, patienceMs }: Question,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { host: "localhost" };
    // One connection per question: a kept one may have been closed by a restarted daemon.
    const sent = request({ socketPath, method, path: target, headers, agent: false });
    sent.setTimeout(patienceMs, () => {
      const waited = `has been silent for ${Math.round(patienceMs / 1000)} s`;
      sent.destroy(new AptP2pError("NO_DAEMON", `the daemon at ${socketPath} ${waited}`));
    });
    sent.once("response", resolve);
    sent.once("error", (error) => reject(connectionError(socketPath, error)));
    sent.end();
  });
}

function connectionError(socketPath: string, error: Error): AptP2pError {
  if (error instanceof AptP2pError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "EACCES" || code === "EPERM") {
    const advice = "run this as root or as a member of the socket's group";
    return new AptP2pError("STORAGE", `${socketPath} may not be used by this user; ${advice}`, {
      cause: error,
    });
  }
  const advice = "is the daemon running, with this state directory (--state-dir)?";
  return new AptP2pError("NO_DAEMON", `no daemon answers at ${socketPath}; ${advice}`, {
    cause: error,
  });
}

/** The error that an answer other than 200 carries. */
async function refusal(answer: IncomingMessage): Promise<AptP2pError> {
  const text = await readAll(answer);
  try {
    return remoteError(JSON.parse(text));
  } catch {
    return new AptP2pError(
      "FORMAT",
      `the daemon answered ${answer.statusCode ?? 0} without a reason`,
    );
  }
}

/** `{ code, message }` as the daemon writes it → the error that it stands for. */
export function remoteError(value: unknown): AptP2pError {
  const { code, message } = record(value);
  const text =
    typeof message === "string" ? message : "the daemon reports an error without a reason";
  return new AptP2pError(isErrorCode(code) ? code : "FORMAT", text);
}

async function readAll(answer: IncomingMessage): Promise<string> {
  let text = "";
  answer.setEncoding("utf8");
  for await (const chunk of chunksOf(answer)) {
    text += chunk;
    if (text.length > limits.controlAnswerBytes) throw tooLong();
  }
  return text;
}

/** Rejects with what the daemon's trailer says, or UPSTREAM when there is none. */
async function* buffersOf(answer: IncomingMessage, patienceMs: number): AsyncGenerator<Buffer> {
  const advice = "ask for it again, it goes on where it ended";
  const chunks = answer[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const tooSilent = (): void => {
    const waited = `has been silent for ${Math.round(patienceMs / 1000)} s`;
    answer.destroy(new AptP2pError("UPSTREAM", `the daemon ${waited}; ${advice}`));
  };
  for (;;) {
    const timer = setTimeout(tooSilent, patienceMs);
    try {
      const step = await chunks.next();
      if (step.done === true) break;
      clearTimeout(timer);
      yield step.value;
    } catch (error) {
      if (error instanceof AptP2pError) throw error;
      throw new AptP2pError("UPSTREAM", `the daemon ended before the file did; ${advice}`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
  }
  const problem = answer.trailers["apt-p2p-problem"];
  if (problem !== undefined) throw remoteError(parseJson(decodeURIComponent(problem)));
}

/** The body; a connection that breaks in the middle is a daemon that has gone. */
async function* chunksOf(answer: IncomingMessage): AsyncGenerator<string, void> {
  try {
    for await (const chunk of answer) yield chunk as string;
  } catch (error) {
    if (error instanceof AptP2pError) throw error;
    throw new AptP2pError("NO_DAEMON", "the daemon ended before its answer did", { cause: error });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AptP2pError("FORMAT", "the daemon's answer is not JSON", { cause: error });
  }
}

function tooLong(): AptP2pError {
  return new AptP2pError(
    "FORMAT",
    `the daemon's answer is longer than ${limits.controlAnswerBytes} bytes`,
  );
}
