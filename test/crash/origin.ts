/** A mirror of the contents under by-hash names, slow enough to be caught in the middle. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { contents, type Content } from "./contents.ts";

export interface Origin {
  /** Authority, for the first path segment behind the daemon's own. */
  readonly host: string;
  readonly sentBytes: () => number;
  readonly close: () => Promise<void>;
}

const chunkBytes = 64 * 1024;

export function pathOf({ sha }: Content): string {
  return `/debian/dists/crash/main/binary-all/by-hash/SHA256/${sha}`;
}

export async function startOrigin(): Promise<Origin> {
  const byPath = new Map(contents().map((one) => [pathOf(one), one]));
  let sentBytes = 0;
  const send = async (response: ServerResponse, bytes: Buffer): Promise<void> => {
    for (let at = 0; at < bytes.length && !response.destroyed; at += chunkBytes) {
      const chunk = bytes.subarray(at, at + chunkBytes);
      sentBytes += chunk.length;
      if (!response.write(chunk)) await delay(1);
      // About 30 MB/s per download.
      if (at % (4 * chunkBytes) === 0) await delay(8);
    }
    response.end();
  };
  const server: Server = createServer((request, response) => {
    const one = byPath.get(request.url ?? "");
    if (one === undefined) {
      response.writeHead(404, { "Content-Length": 0 }).end();
      return;
    }
    const size = one.bytes.length;
    const headers = { "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "Accept-Ranges": "bytes" };
    const [, first] = /^bytes=(\d+)-$/.exec(request.headers.range ?? "") ?? [];
    const from = Number(first ?? 0);
    if (first === undefined || from >= size) {
      response.writeHead(200, { ...headers, "Content-Length": size });
    } else {
      const range = `bytes ${from}-${size - 1}/${size}`;
      response.writeHead(206, {
        ...headers,
        "Content-Length": size - from,
        "Content-Range": range,
      });
    }
    send(
      response,
      first === undefined || from >= size ? one.bytes : one.bytes.subarray(from),
    ).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    sentBytes: () => sentBytes,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
