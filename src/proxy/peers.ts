/** Requests of other daemons, `/~/…`: who may ask at all, bodies within bounds, and sending. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { canonicalAddress } from "../base/endpoint.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Counters } from "../base/counters.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/ports.ts";
import { textAnswer } from "../engine/headers.ts";
import type { PeerRequest } from "../engine/peer-types.ts";
import type { Answer } from "../engine/types.ts";
import type { Access } from "./access.ts";
import { send, turnOf } from "./send.ts";

export interface PeerService {
  answer(request: PeerRequest, signal: AbortSignal): Promise<Answer>;
}

export interface PeerComponents {
  readonly access: Access;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly log: Log;
  /** undefined: this daemon gives nothing to others. */
  readonly peers?: PeerService | undefined;
}

/** One request from head to end. Never rejects. `gone`: the end of its connection. */
export async function handlePeer(
  components: PeerComponents,
  request: IncomingMessage,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<void> {
  const { clock, counters, log } = components;
  const startMs = clock.monotonicMs();
  counters.add("peers.requests");
  let answer: Answer;
  try {
    // An answer that waits behind others on its connection must not hold a slot meanwhile.
    await turnOf(response, gone);
    answer = await answerTo(components, request, gone);
  } catch (thrown) {
    if (!(thrown instanceof AptP2pError)) {
      log.error("peer.broken", { url: request.url, error: errorText(thrown) });
    }
    request.socket.destroy();
    return;
  }
  // What is still to come of a body that nobody reads would keep the connection.
  const kept = request.complete ? answer : withHeader(answer, "connection", "close");
  const sent = await send(response, kept, gone, "cut");
  if (sent.failure !== undefined) counters.add("peers.cut");
  log.debug("peer.request", {
    ...{ method: request.method, url: request.url, from: request.socket.remoteAddress },
    ...{ status: response.statusCode, bytes: sent.bytes },
    ms: Math.round(clock.monotonicMs() - startMs),
    cut: sent.failure === undefined ? undefined : errorText(sent.failure),
  });
}

async function answerTo(
  { access, counters, peers, clock }: PeerComponents,
  request: IncomingMessage,
  gone: AbortSignal,
): Promise<Answer> {
  const { url = "", method = "", headers, socket } = request;
  const refusal = access.refusePeer(headers);
  if (refusal !== undefined) {
    counters.add(`peers.refused.${refusal.status}`);
    return textAnswer(refusal.status, refusal.text);
  }
  const remoteAddress = canonicalAddress(socket.remoteAddress ?? "");
  if (peers === undefined || remoteAddress === undefined || url.length > limits.requestUrlBytes) {
    return textAnswer(404, "this is not here");
  }
  const asked: PeerRequest = {
    ...{ method, url, remoteAddress },
    headers: headers as Readonly<Record<string, string | undefined>>,
    readBody: (mostBytes) => readBody(request, { mostBytes, clock }),
    cut: () => void socket.destroy(),
  };
  return peers.answer(asked, gone);
}

/** undefined: longer, later, or cut off. */
function readBody(
  request: IncomingMessage,
  { mostBytes, clock }: { readonly mostBytes: number; readonly clock: Clock },
): Promise<Buffer | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > mostBytes) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const over = (body: Buffer | undefined): void => {
      stopTimer();
      request.off("data", take).off("end", end).off("close", cut).off("error", cut);
      // Whatever comes now is of no use; an error of it neither.
      request.on("error", () => undefined);
      resolve(body);
    };
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > mostBytes) over(undefined);
    };
    const end = (): void => over(Buffer.concat(chunks));
    const cut = (): void => over(undefined);
    const stopTimer = clock.after(limits.questionMs, cut);
    request.on("data", take).on("end", end).on("close", cut).on("error", cut);
  });
}

function withHeader(answer: Answer, name: string, value: string): Answer {
  return { ...answer, headers: { ...answer.headers, [name]: value } };
}
