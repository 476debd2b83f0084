/**
 * The rooms that remember, and the way to the mirrors, as the configuration wants them. What may
 * change while the daemon runs is read at each use.
 */
import { randomBytes } from "node:crypto";
import { Archive, type ArchiveComponents } from "../archive/archive.ts";
import { version } from "../base/version.ts";
import { Store } from "../cache/store.ts";
import { addressAllowed, isGlobal } from "../engine/address-rules.ts";
import { storedBytes } from "../engine/stored-bytes.ts";
import { GotMirror } from "../io/got-mirror.ts";
import { GpgSignatures } from "../io/gpg-signatures.ts";
import { networkDial, ownAddresses } from "../io/network-dial.ts";
import { SpawnDecompressor } from "../io/spawn-decompressor.ts";
import type { Dial } from "../proxy/ports.ts";
import type { LiveConfig } from "./live-config.ts";

export type Common = Omit<ArchiveComponents, "signatures" | "decompressor" | "openStored">;

/** Takes what has been opened, to be closed in reverse order. */
export type Undo = (close: () => Promise<unknown>) => void;

/** Each of the two asks the other a little. */
export async function openMemory(
  common: Common,
  live: LiveConfig,
  undo: Undo,
): Promise<{ archive: Archive; store: Store }> {
  const { archive: apt, store: places } = live.now;
  const held: { store?: Store } = {};
  const archive = new Archive(
    {
      ...common,
      signatures: new GpgSignatures(apt.aptConfigDir),
      decompressor: new SpawnDecompressor(),
      openStored: (sha256) =>
        held.store === undefined ? Promise.resolve(undefined) : storedBytes(held.store, sha256),
    },
    {
      tableDirectory: `${places.stateDir}/tables`,
      aptConfigDirectory: apt.aptConfigDir,
      aptListsDirectory: apt.aptListsDir,
      ownAuthorities: ownAuthorities(live),
    },
  );
  undo(() => archive.close());
  await archive.load();
  const store = await Store.open(
    { ...common, listed: (digests) => archive.listed(digests) },
    {
      directory: places.cacheDir,
      get quotaBytes() {
        return live.now.store.quotaBytes;
      },
      get keepFreeBytes() {
        return live.now.store.keepFreeBytes;
      },
      offerDirectories: places.offerDirs,
    },
  );
  held.store = store;
  undo(() => store.close());
  return { archive, store };
}

/** The forms under which apt addresses this daemon; the list changes with the configuration. */
function ownAuthorities(live: LiveConfig): readonly string[] {
  const current = (): string[] => {
    const { hosts, port } = live.now.proxy;
    return ["localhost", "127.0.0.1", "[::1]", ...hosts].map((host) => `${host}:${port}`);
  };
  const authorities = current();
  live.onChange(() => authorities.splice(0, authorities.length, ...current()));
  return authorities;
}

export interface MirrorWays {
  readonly got: GotMirror;
  /** This daemon's name in Via headers. */
  readonly pseudonym: string;
  /** For tunnels. */
  readonly dial: Dial;
}

export function openMirror(archive: Archive, live: LiveConfig, undo: Undo): MirrorWays {
  const rules = {
    named: (host: string) =>
      live.now.mirror.allowUpstreams.some((allowed) => allowed.toLowerCase() === host) ||
      archive.hostsOfSources().has(host),
    own: ownAddresses(),
  };
  const allowed = (host: string, address: string): boolean => addressAllowed(rules, host, address);
  const pseudonym = `apt-p2p-${randomBytes(6).toString("hex")}`;
  const got = new GotMirror({
    get connectTimeoutMs() {
      return live.now.mirror.connectTimeoutMs;
    },
    get responseTimeoutMs() {
      return live.now.mirror.responseTimeoutMs;
    },
    get stallTimeoutMs() {
      return live.now.mirror.stallTimeoutMs;
    },
    connectionsPerHost: live.now.mirror.connectionsPerHost,
    allowed,
    isGlobal,
    via: `1.1 ${pseudonym}`,
    userAgent: `apt-p2p/${version}`,
  });
  undo(() => {
    got.close();
    return Promise.resolve();
  });
  const dial: Dial = (host, port) =>
    networkDial(allowed, live.now.mirror.connectTimeoutMs)(host, port);
  return { got, pseudonym, dial };
}
