/**
 * The last copy of each document whose digest nobody knows beforehand (InRelease, Release, their
 * signatures, SHA256SUMS). It lets the mirror answer 304 to a client that has no copy of its own,
 * and, if the administrator allows it, stands in for a mirror that cannot be reached. Documents are
 * no part of the store: they are never shared.
 */
import { limits } from "../base/limits.ts";
import type { Clock, Hashes } from "../base/ports.ts";
import { sha256FromBytes } from "../base/sha256.ts";
import type { Files, KeyValue } from "../base/storage.ts";

export interface DocumentFacts {
  readonly sha256: string;
  readonly etag?: string;
  readonly lastModified?: string;
  readonly contentType?: string;
  readonly storedAtMs: number;
}

export interface DocumentsComponents {
  readonly kv: KeyValue;
  readonly files: Files;
  readonly hashes: Hashes;
  readonly clock: Clock;
}

const PREFIX = "engine!document!";

export class Documents {
  readonly #components: DocumentsComponents;
  readonly #directory: string;

  constructor(components: DocumentsComponents, directory: string) {
    this.#components = components;
    this.#directory = directory;
  }

  facts(name: string): DocumentFacts | undefined {
    const text = this.#components.kv.get(PREFIX + name);
    return text === undefined ? undefined : (JSON.parse(text) as DocumentFacts);
  }

  /** The bytes, if they are still those that were saved. */
  async read(name: string): Promise<Buffer | undefined> {
    const facts = this.facts(name);
    const file = facts && (await this.#components.files.open(this.#path(name)));
    if (file === undefined) return undefined;
    try {
      const { sizeBytes } = await file.facts();
      if (sizeBytes > limits.documentBytes) return undefined;
      const bytes = Buffer.alloc(sizeBytes);
      await file.read(bytes, 0);
      return sha256FromBytes(this.#components.hashes.of(bytes)) === facts?.sha256
        ? bytes
        : undefined;
    } finally {
      await file.close();
    }
  }

  async save(
    name: string,
    bytes: Buffer,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { files, hashes, kv, clock } = this.#components;
    const path = this.#path(name);
    const sha256 = sha256FromBytes(hashes.of(bytes));
    if (this.facts(name)?.sha256 !== sha256) {
      const file = await files.create(`${path}.new`);
      try {
        await file.truncate(0);
        await file.write([bytes], 0);
      } finally {
        await file.close();
      }
      await files.rename(`${path}.new`, path);
    }
    const { etag, "last-modified": lastModified, "content-type": contentType } = headers;
    const facts: DocumentFacts = {
      sha256,
      storedAtMs: clock.wallMs(),
      ...(etag !== undefined && { etag }),
      ...(lastModified !== undefined && { lastModified }),
      ...(contentType !== undefined && { contentType }),
    };
    await kv.batch([{ key: PREFIX + name, value: JSON.stringify(facts) }]);
    await this.#forgetOldest();
  }

  async #forgetOldest(): Promise<void> {
    const all: { name: string; storedAtMs: number }[] = [];
    for await (const [key, value] of this.#components.kv.range(PREFIX)) {
      const { storedAtMs } = JSON.parse(value) as DocumentFacts;
      all.push({ name: key.slice(PREFIX.length), storedAtMs });
    }
    if (all.length <= limits.documents) return;
    all.sort((a, b) => a.storedAtMs - b.storedAtMs);
    for (const { name } of all.slice(0, all.length - limits.documents)) {
      await this.#components.files.remove(this.#path(name));
      await this.#components.kv.batch([{ key: PREFIX + name, value: undefined }]);
    }
  }

  #path(name: string): string {
    return `${this.#directory}/${sha256FromBytes(this.#components.hashes.of(name))}`;
  }
}
