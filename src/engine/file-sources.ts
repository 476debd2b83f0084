/** Who gave the bytes of the last files, and what each peer has given of all of them. */
import { BoundedMap } from "../base/bounded-map.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { SwarmSession } from "./swarm-session.ts";

export interface PeerBytes {
  /** Address and port. */
  readonly peer: string;
  readonly bytes: number;
}

/** Who gave the bytes of one file. */
export interface FileSources {
  readonly name: string;
  readonly sha256: Sha256;
  /** Milliseconds since 1970; when something last came, or was asked for. */
  readonly atMs: number;
  /** That clients were given from the store. */
  readonly cacheBytes: number;
  readonly mirrorBytes: number;
  /** Those that gave most first. */
  readonly peers: readonly PeerBytes[];
  /** Pieces that were not what they should have been. */
  readonly refused: number;
  /** Why peers were given up. */
  readonly dropped: Readonly<Record<string, string>>;
  /** Until the first piece of a peer; undefined: none came. */
  readonly firstPeerMs: number | undefined;
}

type Session = Pick<SwarmSession, "record" | "firstPeerMs">;

export class FileSourceBook {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #files = new BoundedMap<Sha256, FileSources>(limits.rememberedSources);
  readonly #peers = new BoundedMap<string, number>(limits.uploadPeers);

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** The newest last. */
  files(): readonly FileSources[] {
    return [...this.#files.entries()].map(([, file]) => file);
  }

  /** Those that gave most first. */
  peers(): readonly PeerBytes[] {
    return sorted(this.#peers.entries());
  }

  /** A client gets so many bytes of it from the store. */
  fromCache(name: string, sha256: Sha256, bytes: number): void {
    const file = this.#files.get(sha256);
    const cacheBytes = (file?.cacheBytes ?? 0) + bytes;
    this.#files.set(sha256, { ...(file ?? nothing), ...this.#named(name, sha256), cacheBytes });
  }

  /** It has come and is proven. `session`: of the swarm that brought a part of it. */
  brought(
    { name, sha256 }: { readonly name: string; readonly sha256: Sha256 },
    mirrorBytes: number,
    session: Session | undefined,
  ): void {
    const { bytes, refused, dropped } = session?.record() ?? {};
    const peers = sorted(bytes ?? []);
    const cacheBytes = this.#files.get(sha256)?.cacheBytes ?? 0;
    this.#files.set(sha256, {
      ...{ ...this.#named(name, sha256), cacheBytes, mirrorBytes, peers },
      ...{ refused: refused?.length ?? 0, dropped: Object.fromEntries(dropped ?? []) },
      firstPeerMs: session?.firstPeerMs,
    });
    if (peers.length === 0) return;
    for (const each of peers) {
      this.#peers.set(each.peer, (this.#peers.get(each.peer) ?? 0) + each.bytes);
    }
    this.#log.info("peers.gave", {
      ...{ name, fromMirror: mirrorBytes, refused: refused?.length ?? 0 },
      fromPeers: peers.reduce((sum, each) => sum + each.bytes, 0),
      peers: peers.map((each) => `${each.peer}=${each.bytes}`).join(" "),
    });
  }

  #named(name: string, sha256: Sha256): Pick<FileSources, "name" | "sha256" | "atMs"> {
    return { name, sha256, atMs: this.#clock.wallMs() };
  }
}

const nothing: Omit<FileSources, "name" | "sha256" | "atMs" | "cacheBytes"> = {
  ...{ mirrorBytes: 0, peers: [], refused: 0, dropped: {}, firstPeerMs: undefined },
};

function sorted(entries: Iterable<readonly [string, number]>): PeerBytes[] {
  return [...entries].sort((a, b) => b[1] - a[1]).map(([peer, bytes]) => ({ peer, bytes }));
}
