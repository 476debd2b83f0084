/** Peers in memory, in virtual time: what each has, how fast it is, and how it lies. */
import { AptP2pError } from "../../src/base/errors.ts";
import { parseEndpoint } from "../../src/base/endpoint.ts";
import type { Clock } from "../../src/base/ports.ts";
import type { Sha256 } from "../../src/base/sha256.ts";
import type { FindEvents, Finder } from "../../src/engine/finder.ts";
import type { PeerHttpRequest, PeerHttpResponse, PeerPort } from "../../src/engine/ports.ts";
import { encodeSwarm } from "../../src/swarm/peer-wire.ts";
import { PieceMap } from "../../src/swarm/piece-map.ts";
import { shapeOf } from "../../src/swarm/shape.ts";
import type { PeerInfo } from "../../src/swarm/types.ts";
import { pieceList } from "./peer-world.ts";

export interface FakePeer {
  /** What it gives as the file of this digest, right or wrong. */
  readonly files: ReadonlyMap<Sha256, Buffer>;
  /** Of each request; default: 10,000. */
  readonly bytesPerMs?: number;
  /** Never answers. */
  readonly dead?: boolean;
  /** Its copy came from a private source. */
  readonly local?: boolean;
  /** Default: that of the bytes it gives. */
  readonly list?: "none" | Buffer;
}

export class FakePeers implements PeerPort, Finder {
  readonly known = true;
  readonly neighbours = 0;
  readonly peers = new Map<string, FakePeer>();
  /** Bytes of the file by peer. */
  readonly sent = new Map<string, number>();
  readonly asked: string[] = [];
  readonly useful = (): void => undefined;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  hopeful(sha256: Sha256): boolean {
    return this.#infos(sha256).length > 0;
  }

  find(sha256: Sha256, _sizeBytes: number, events: FindEvents): { cancel: () => void } {
    const cancel = this.#clock.after(1, () => {
      events.peers(this.#infos(sha256));
      events.done();
    });
    return { cancel };
  }

  async send(request: PeerHttpRequest, signal: AbortSignal): Promise<PeerHttpResponse> {
    const { to, path, headers } = request;
    this.asked.push(`${to.text} ${path}`);
    const peer = this.peers.get(to.text);
    if (peer === undefined || peer.dead === true) return unanswered(signal);
    await this.#pause(1, signal);
    const [, sha256 = "", what = ""] = /^\/~\/sha256\/([0-9a-f]{64})(\/\w+)?/.exec(path) ?? [];
    const file = peer.files.get(sha256 as Sha256);
    if (file === undefined) return answer(404, {}, Buffer.alloc(0));
    if (what === "/pieces") {
      if (peer.list === "none") return answer(404, {}, Buffer.alloc(0));
      return answer(200, {}, peer.list ?? pieceList(file));
    }
    if (what === "/swarm") {
      const have = PieceMap.full(shapeOf(file.length).pieces);
      const state = { sizeBytes: file.length, have, fetching: undefined, peers: [] };
      return answer(200, {}, Buffer.from(encodeSwarm(state)));
    }
    const [, first = "0", last = "0"] = /^bytes=(\d+)-(\d+)$/.exec(headers["range"] ?? "") ?? [];
    const [start, end] = [Number(first), Number(last) + 1];
    return {
      status: 206,
      headers: {
        "content-range": `bytes ${start}-${end - 1}/${file.length}`,
        "content-length": `${end - start}`,
        ...(peer.local === true && { "apt-p2p-scope": "local" }),
      },
      body: this.#body(to.text, file.subarray(start, end), signal),
    };
  }

  async *#body(who: string, bytes: Buffer, signal: AbortSignal): AsyncGenerator<Buffer, void> {
    const rate = this.peers.get(who)?.bytesPerMs ?? 10_000;
    for (let at = 0; at < bytes.length; at += 16_384) {
      const chunk = bytes.subarray(at, at + 16_384);
      await this.#pause(chunk.length / rate, signal);
      this.sent.set(who, (this.sent.get(who) ?? 0) + chunk.length);
      yield Buffer.from(chunk);
    }
  }

  #infos(sha256: Sha256): PeerInfo[] {
    return [...this.peers].flatMap(([text, { files }]): PeerInfo[] => {
      const endpoint = parseEndpoint(text);
      if (endpoint === undefined || !files.has(sha256)) return [];
      const group = endpoint.address;
      return [{ endpoint, near: true, group, state: "whole", via: "neighbour" }];
    });
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.after(ms, resolve));
    if (signal.aborted) throw new AptP2pError("CLOSED", "cancelled");
  }
}

function unanswered(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const gone = (): void => reject(new AptP2pError("CLOSED", "cancelled"));
    signal.addEventListener("abort", gone, { once: true });
    if (signal.aborted) gone();
  });
}

function answer(
  status: number,
  headers: Readonly<Record<string, string>>,
  bytes: Buffer,
): PeerHttpResponse {
  // eslint-disable-next-line @typescript-eslint/require-await -- an iterable is what the port wants
  const body = (async function* () {
    yield bytes;
  })();
  return { status, headers: { ...headers, "content-length": `${bytes.length}` }, body };
}
