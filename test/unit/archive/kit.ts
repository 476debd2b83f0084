/** An archive room over memory, and small makers of what archives publish. */
import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { Archive, type ArchiveSettings } from "../../../src/archive/archive.ts";
import type {
  Decompressor,
  Signatures,
  SignatureVerdict,
  SignedText,
} from "../../../src/archive/ports.ts";
import type { FileName } from "../../../src/archive/types.ts";
import { Counters } from "../../../src/base/counters.ts";
import { AptP2pError } from "../../../src/base/errors.ts";
import type { Hashes, Log, LogValue } from "../../../src/base/ports.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { MemoryFiles } from "../../../src/sim/memory-files.ts";
import { MemoryKeyValue } from "../../../src/sim/memory-key-value.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

export const hashes: Hashes = {
  start: () => {
    const state = createHash("sha256");
    return {
      update: (bytes) => void state.update(bytes),
      peek: () => state.copy().digest(),
      digest: () => state.digest(),
    };
  },
  of: (data) => createHash("sha256").update(data).digest(),
};

export function sha256(data: string | Uint8Array): Sha256 {
  return createHash("sha256").update(data).digest("hex") as Sha256;
}

export function sha512(data: string | Uint8Array): string {
  return createHash("sha512").update(data).digest("hex");
}

export function fileName(name: string): FileName {
  return name as FileName;
}

export const gzip = (text: string): Buffer => gzipSync(text);

/** Yields the bytes in chunks of the given size. */
export async function* streamOf(
  data: string | Buffer,
  chunkBytes = 1024,
): AsyncGenerator<Buffer, void> {
  const bytes = Buffer.from(data);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    await Promise.resolve();
    yield bytes.subarray(at, at + chunkBytes);
  }
}

export async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** gzip only; anything else is damage. */
export const gunzipper: Decompressor = {
  async *expand(compression, input, limitBytes) {
    const whole = await collect(input);
    if (compression !== "gzip") throw new AptP2pError("FORMAT", `no ${compression} here`);
    let plain: Buffer;
    try {
      plain = gunzipSync(whole);
    } catch (cause) {
      throw new AptP2pError("FORMAT", "damaged gzip", { cause });
    }
    if (plain.length > limitBytes) throw new AptP2pError("FORMAT", "a bomb");
    yield* streamOf(plain, 700);
  },
};

export const GOOD_KEY = "0123456789ABCDEF0123456789ABCDEF01234567";

/**
 * Believes what the signature itself says: `good` (over any text, inline) or `good <digest>` (over
 * that text, detached) is verified, `bad` or another digest contradicted, the rest unverifiable.
 */
export class FakeSignatures implements Signatures {
  readonly asked: SignedText[] = [];

  check(signed: SignedText): Promise<SignatureVerdict> {
    this.asked.push(signed);
    return Promise.resolve(this.#verdict(signed));
  }

  #verdict({ text, signature }: SignedText): SignatureVerdict {
    const said =
      signature?.toString() ??
      /-----BEGIN PGP SIGNATURE-----\n\n(.*)\n/.exec(text.toString())?.[1] ??
      "";
    const good = signature === undefined ? "good" : `good ${sha256(text)}`;
    if (said === good) return { kind: "verified", signedBy: [GOOD_KEY] };
    if (said.startsWith("good") || said === "bad") {
      return { kind: "contradicted", reason: "BADSIG" };
    }
    return { kind: "unverifiable", reason: "NO_PUBKEY" };
  }
}

export function signedInline(text: string, signature = "good"): Buffer {
  const escaped = text.replace(/^-/gm, "- -").replace(/\n$/, "");
  return Buffer.from(
    `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${escaped}\n` +
      `-----BEGIN PGP SIGNATURE-----\n\n${signature}\n-----END PGP SIGNATURE-----\n`,
  );
}

export interface Published {
  readonly path: string;
  readonly content: string | Buffer;
}

/** A Release that lists the files; `day` is its date in January 2026. */
export function releaseText(
  files: readonly Published[],
  options: { day?: number; sha512?: boolean; suite?: string } = {},
): string {
  const { day = 1, suite = "stable" } = options;
  const lines = (hash: (data: string | Buffer) => string): string =>
    files
      .map(({ path, content }) => ` ${hash(content)} ${Buffer.from(content).length} ${path}\n`)
      .join("");
  return (
    `Origin: Example\nSuite: ${suite}\nCodename: bookworm\n` +
    `Date: Thu, ${String(day).padStart(2, "0")} Jan 2026 10:00:00 UTC\n` +
    `Acquire-By-Hash: yes\nMD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 main/fake\n` +
    `SHA256:\n${lines(sha256)}` +
    (options.sha512 === true ? `SHA512:\n${lines(sha512)}` : "")
  );
}

export function packagesText(files: readonly Published[]): string {
  return files
    .map(
      ({ path, content }) =>
        `Package: x\nDescription: text\n more\nFilename: ${path}\n` +
        `Size: ${Buffer.from(content).length}\nSHA256: ${sha256(content)}\n`,
    )
    .join("\n");
}

export interface World {
  readonly archive: Archive;
  readonly files: MemoryFiles;
  readonly kv: MemoryKeyValue;
  readonly clock: VirtualClock;
  readonly counters: Counters;
  readonly signatures: FakeSignatures;
  readonly warnings: { event: string; fields: Readonly<Record<string, LogValue>> }[];
  /** Content of the store, by digest. */
  readonly stored: Map<Sha256, Buffer>;
  /** Puts content into the store and tells the archive that it is there under this name. */
  store(name: string, content: string | Buffer): void;
}

export const SETTINGS: ArchiveSettings = {
  tableDirectory: "/state/archive",
  aptConfigDirectory: "/etc/apt",
  aptListsDirectory: "/lists",
  ownAuthorities: ["localhost:9977"],
};

/** A room that is loaded; `before` is the world whose disk and database it starts with. */
export async function openArchive(
  before: Partial<Pick<World, "files" | "kv" | "stored">> = {},
): Promise<World> {
  const clock = new VirtualClock();
  const { files = new MemoryFiles({ clock }), kv = new MemoryKeyValue() } = before;
  const stored = before.stored ?? new Map<Sha256, Buffer>();
  const counters = new Counters();
  const signatures = new FakeSignatures();
  const warnings: World["warnings"] = [];
  const silent = (): void => undefined;
  const log: Log = {
    debug: silent,
    info: silent,
    warn: (event, fields = {}) => void warnings.push({ event, fields }),
    error: (event, fields = {}) => void warnings.push({ event, fields }),
  };
  const openStored = (digest: Sha256): Promise<AsyncIterable<Buffer> | undefined> => {
    const content = stored.get(digest);
    return Promise.resolve(content === undefined ? undefined : streamOf(content));
  };
  const archive = new Archive(
    {
      ...{ kv, files, hashes, clock, log, counters, signatures },
      decompressor: gunzipper,
      openStored,
    },
    SETTINGS,
  );
  await archive.load();
  const store = (name: string, content: string | Buffer): void => {
    const digest = sha256(content);
    stored.set(digest, Buffer.from(content));
    archive.learnFile(fileName(name), digest, () => openStored(digest));
  };
  return { archive, files, kv, clock, counters, signatures, warnings, stored, store };
}
