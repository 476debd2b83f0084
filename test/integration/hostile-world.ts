/**
 * A daemon between one honest mirror and one hostile one, with what is looked at after each attack:
 * its answers to an honest client, its memory, its descriptors, and every byte that it has stored.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { buildArchive, type Archive, type PackageSpec } from "../kit/archive.ts";
import { sha256 } from "../kit/bytes.ts";
import { startDaemon, type DaemonOptions, type TestDaemon } from "../kit/daemon.ts";
import { startMirror, type TestMirror } from "../kit/mirror.ts";
import { scratchDirectory } from "../kit/scratch.ts";
import { ask, type Reply } from "./hostile-client.ts";
import { HostileMirror } from "./hostile-mirror.ts";

export interface HostileWorld {
  readonly daemon: TestDaemon;
  /** Its own archive, unknown to the hostile mirror. */
  readonly honest: { readonly mirror: TestMirror; readonly archive: Archive };
  /** A copy of another signed archive, where nothing is scripted. */
  readonly hostile: { readonly mirror: HostileMirror; readonly archive: Archive };
  close(): Promise<void>;
}

const MiB = 1024 * 1024;

/** Packages of both archives: small, one with a tail beyond the held-back bytes, large. */
export const packages: readonly PackageSpec[] = [
  { name: "small", sizeBytes: 9_000 },
  { name: "medium", sizeBytes: 300_000 },
  { name: "large", sizeBytes: 8 * MiB },
  ...Array.from({ length: 20 }, (_, index) => ({ name: `victim${index}`, sizeBytes: 200_000 })),
];

export async function hostileWorld(
  settings: DaemonOptions["settings"] = {},
): Promise<HostileWorld> {
  const scratch = scratchDirectory("hostile");
  const at = (name: string): string => join(scratch.path, name);
  const dateMs = Date.now() - 3_600_000;
  const archive = await buildArchive(at("honest"), { packages, dateMs });
  const other = await buildArchive(at("hostile"), {
    packages: packages.map((spec) => ({ ...spec, seed: `hostile ${spec.name}` })),
    dateMs,
  });
  const mirror = await startMirror({ root: at("honest") });
  const hostile = await HostileMirror.start({
    files: (path) => fileBelow(at("hostile"), path),
  });
  // The key counts for suites that no source names as well.
  mkdirSync(join(at("apt"), "trusted.gpg.d"), { recursive: true });
  copyFileSync(archive.keyringPath, join(at("apt"), "trusted.gpg.d", "kit.gpg"));
  const sources = [mirror.authority, hostile.authority].map(
    (authority) => `deb [signed-by=${archive.keyringPath}] http://${authority}/ stable main\n`,
  );
  writeFileSync(join(at("apt"), "sources.list"), sources.join(""));
  const daemon = await startDaemon({
    aptConfigDirectory: at("apt"),
    allowUpstreams: ["127.0.0.1"],
    settings: {
      mirror: ["stall_timeout = 500ms", "response_timeout = 1s", ...(settings["mirror"] ?? [])],
      ...Object.fromEntries(Object.entries(settings).filter(([name]) => name !== "mirror")),
    },
  });
  return {
    daemon,
    honest: { mirror, archive },
    hostile: { mirror: hostile, archive: other },
    close: async () => {
      await daemon.close();
      await mirror.close();
      await hostile.close();
      scratch.remove();
    },
  };
}

/** What apt update asks for, so that the daemon knows the archive. */
export async function update(world: HostileWorld, which: "honest" | "hostile"): Promise<void> {
  const { authority } = world[which].mirror;
  for (const path of ["InRelease", "main/binary-amd64/Packages.xz"]) {
    const reply = await ask(world.daemon.port, `http://${authority}/dists/stable/${path}`);
    assert.equal(reply.status, 200, path);
  }
}

/** A package of the honest mirror, which must come whole, right and soon. */
export async function honestGet(world: HostileWorld, name = "small"): Promise<Reply> {
  const { mirror, archive } = world.honest;
  const { path, sha256: wanted } = archive.package(name);
  const reply = await ask(world.daemon.port, `http://${mirror.authority}/${path}`);
  assert.equal(reply.status, 200);
  assert.equal(sha256(reply.body), wanted);
  assert.ok(reply.milliseconds < 2000, `an honest client waited ${reply.milliseconds} ms`);
  return reply;
}

/** Waits for a condition; what is asked for in `describe` tells what was seen last. */
export async function eventually(
  condition: () => Promise<boolean> | boolean,
  describe: () => string,
  withinMs = 5000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) assert.fail(describe());
    await delay(20);
  }
}

export function descriptors(daemon: TestDaemon): number {
  return readdirSync(`/proc/${daemon.pid}/fd`).length;
}

/** Resident memory in MiB. */
export function residentMiB(daemon: TestDaemon): number {
  const text = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1]) / 1024;
}

/** As many descriptors as before, but for some that are kept open for a while. */
export async function descriptorsReturn(
  daemon: TestDaemon,
  before: number,
  withinMs = 8000,
): Promise<void> {
  let now = 0;
  await eventually(
    () => (now = descriptors(daemon)) <= before + 4,
    () => `${before} descriptors before, ${now} after`,
    withinMs,
  );
}

/** Hashes every stored file: each is what its name says. Returns the names. */
export async function storedDigests(daemon: TestDaemon): Promise<ReadonlySet<string>> {
  const listed = await cacheList(daemon);
  for (const { sha256: name, path, sizeBytes } of listed) {
    const bytes = readFileSync(path);
    assert.equal(bytes.length, sizeBytes, path);
    assert.equal(createHash("sha256").update(bytes).digest("hex"), name, path);
  }
  return new Set(listed.map((file) => file.sha256));
}

interface Listed {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly path: string;
}

async function cacheList(daemon: TestDaemon): Promise<readonly Listed[]> {
  const lines = (await control(daemon, "/cache/list")).split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Listed);
}

function control(daemon: TestDaemon, path: string): Promise<string> {
  const socketPath = join(daemon.stateDirectory, "control.sock");
  return new Promise((resolve, reject) => {
    request({ socketPath, path, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("error", reject);
      response.on("end", () => resolve(text));
    })
      .on("error", reject)
      .end();
  });
}

function fileBelow(root: string, path: string): Buffer | undefined {
  try {
    return readFileSync(join(root, new URL(path, "http://localhost").pathname));
  } catch {
    return undefined;
  }
}

/** What `apt-p2p why` knows of a URL. */
export function why(daemon: TestDaemon, url: string): Promise<Why> {
  return control(daemon, `/why?url=${encodeURIComponent(url)}`).then(
    (text) => JSON.parse(text) as Why,
  );
}

export interface Why {
  readonly expectations: readonly { readonly sha256: string; readonly trust: string }[];
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
}
