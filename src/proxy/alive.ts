/**
 * The sign of life that `etc/apt-proxy` asks for before apt is sent here: `GET /~/alive`. It comes
 * from the event loop alone, waits for nothing else that is under way, and its text is one that no
 * other program on this port would send.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Counters } from "../base/counters.ts";
import { isLoopback } from "../engine/address-rules.ts";
import type { Access } from "./access.ts";

const path = "/~/alive";

/** The one line of the body; `etc/apt-proxy` compares it. */
const text = "apt-p2p is alive\n";

export interface AliveComponents {
  readonly access: Pick<Access, "refusePeer">;
  readonly counters: Counters;
}

/** True: it was this question, from a program of this machine, and has been answered. */
export function answerAlive(
  { access, counters }: AliveComponents,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const { headers, method, socket, url } = request;
  if (url !== path || (method !== "GET" && method !== "HEAD")) return false;
  const own = isLoopback(socket.remoteAddress ?? "") && isLoopback(socket.localAddress ?? "");
  if (!own || access.refusePeer(headers) !== undefined) return false;
  counters.add("proxy.alive");
  response
    .writeHead(200, {
      "content-type": "text/plain; charset=utf-8",
      "content-length": text.length,
      "cache-control": "no-store",
    })
    .end(text);
  return true;
}
