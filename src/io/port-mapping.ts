/**
 * Asks the router to pass a port on to this machine, or not any more: one round of questions in a
 * thread of its own (router-talk.ts), which ends with its answer or its time. Whatever comes back over
 * the network, and whatever the library makes of it, ends there; nothing of it stays in memory.
 *
 * This module is also what the thread runs. It is to be loaded late: hardly anybody needs it.
 */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Mapped, RouterRound } from "./router-round.ts";

/** What the thread answers with. */
type Answer = { readonly mapped: Mapped } | { readonly failure: string };

interface Task {
  readonly routerRound: RouterRound;
}

/** Far above what XML of a router takes; a larger one is no router's. */
const resourceLimits = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 8, stackSizeMb: 4 };

/** Rejects with UPSTREAM, and CLOSED when `signal` aborts: then the thread is gone. */
export async function askRouter(round: RouterRound, signal: AbortSignal): Promise<Mapped> {
  const task: Task = { routerRound: round };
  const options = { workerData: task, resourceLimits, execArgv: [] };
  const thread = new Worker(new URL(import.meta.url), options);
  try {
    return await answerOf(thread, signal);
  } finally {
    await thread.terminate();
  }
}

function answerOf(thread: Worker, signal: AbortSignal): Promise<Mapped> {
  return new Promise((resolve, reject) => {
    const failed = (text: string): void => reject(new AptP2pError("UPSTREAM", text));
    const cancelled = (): void => reject(new AptP2pError("CLOSED", "the router took too long"));
    signal.addEventListener("abort", cancelled, { once: true });
    if (signal.aborted) cancelled();
    thread.once("message", (answer: Answer) => {
      if ("mapped" in answer) resolve(answer.mapped);
      else failed(answer.failure);
    });
    thread.once("error", (error) => failed(`the router's answer was no good: ${errorText(error)}`));
    thread.once("exit", () => failed("the question ended without an answer"));
  });
}

function isTask(data: unknown): data is Task {
  return typeof data === "object" && data !== null && "routerRound" in data;
}

/** In the thread. What is thrown outside of a promise ends it, and is the answer. */
async function answer({ routerRound }: Task): Promise<void> {
  const { talk } = await import("./router-talk.ts");
  const answer: Answer = await talk(routerRound).then(
    (mapped) => ({ mapped }),
    (thrown: unknown) => ({ failure: errorText(thrown) }),
  );
  parentPort?.postMessage(answer);
}

if (!isMainThread && isTask(workerData)) await answer(workerData);
