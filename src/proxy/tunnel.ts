/** CONNECT (RFC 9110 section 9.3.6): a plain tunnel to port 443, for https sources; nothing is seen. */
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { pipeline, type Duplex } from "node:stream";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Counters } from "../base/counters.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../base/ports.ts";
import { parseAuthority } from "../engine/target.ts";
import type { Access } from "./access.ts";
import type { Dial } from "./ports.ts";

export interface TunnelComponents {
  readonly dial: Dial;
  readonly access: Access;
  readonly counters: Counters;
  readonly log: Log;
  /** Open ends, to be destroyed when the server closes. */
  readonly tunnels: Set<Duplex>;
}

/** Ports that a tunnel may lead to: https alone, so that nobody reaches mail or shells through us. */
const PORTS: ReadonlySet<number> = new Set([443]);

export async function tunnel(
  components: TunnelComponents,
  request: IncomingMessage,
  near: Duplex,
  head: Buffer,
): Promise<void> {
  const { dial, access, counters, log } = components;
  near.on("error", () => near.destroy());
  const { remoteAddress = "", localAddress = "" } = request.socket;
  const refusal = access.refuse(
    { remoteAddress, localAddress },
    { url: request.url ?? "", headers: request.headers },
  );
  const target = parseAuthority(request.url ?? "");
  if (refusal !== undefined || target === undefined || !PORTS.has(target.port)) {
    counters.add("proxy.tunnel.refused");
    refuse(near, 403, refusal?.text ?? "apt-p2p tunnels to port 443 only");
    return;
  }
  try {
    const far = await dial(target.host, target.port);
    counters.add("proxy.tunnel.opened");
    near.write("HTTP/1.1 200 Connection established\r\n\r\n");
    if (head.length > 0) far.write(head);
    join(components, near, far);
  } catch (thrown) {
    counters.add("proxy.tunnel.failed");
    log.warn("tunnel.failed", { host: target.host, error: errorText(thrown) });
    const forbidden = thrown instanceof AptP2pError && thrown.code === "FORBIDDEN";
    refuse(near, forbidden ? 403 : 502, errorText(thrown));
  }
}

/** Bytes both ways, until either end closes. */
function join({ tunnels, counters }: TunnelComponents, near: Duplex, far: Duplex): void {
  for (const end of [near, far]) {
    tunnels.add(end);
    end.once("close", () => tunnels.delete(end));
    // A client that vanished says nothing; nor does its tunnel, then.
    if (end instanceof Socket) end.setTimeout(limits.clientStallMs, () => end.destroy());
  }
  far.on("data", (chunk: Buffer) => counters.add("proxy.tunnel.bytes", chunk.length));
  const ended = (): void => undefined;
  pipeline(near, far, ended);
  pipeline(far, near, ended);
}

function refuse(near: Duplex, status: number, text: string): void {
  const reason = text.replace(/[^\x20-\x7e]/g, "?");
  const length = reason.length + 1;
  near.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${reason}\n`,
  );
}
