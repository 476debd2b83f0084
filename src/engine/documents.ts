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
  #turn: Promise<void> = Promise.resolve();

  constructor(components: DocumentsComponents, directory: string) {
    this.#components = components;
    this.#directory = directory;
  }

  /** undefined also when the database cannot tell. */
  facts(url: string): DocumentFacts | undefined {
    try {
      const text = this.#components.kv.get(PREFIX + url);
      return text === undefined ? undefined : (JSON.parse(text) as DocumentFacts);
    } catch {
      return undefined;
    }
  }

  /** The bytes, if they are still those that were saved. */
  async read(url: string): Promise<Buffer | undefined> {
    const facts = this.facts(url);
    if (facts === undefined) return undefined;
    const file = await this.#components.files.open(this.#path(facts.sha256));
    if (file === undefined) return undefined;
    try {
      const { sizeBytes } = await file.facts();
      if (sizeBytes > limits.documentBytes) return undefined;
      const bytes = Buffer.alloc(sizeBytes);
      await file.read(bytes, 0);
      const found = sha256FromBytes(this.#components.hashes.of(bytes));
      return found === facts.sha256 ? bytes : undefined;
    } finally {
      await file.close();
    }
  }

  /** So that the mirror is not asked about a copy that is not there. */
  async forget(url: string): Promise<void> {
    await this.#inTurn(() => this.#components.kv.batch([{ key: PREFIX + url, value: undefined }]));
  }

  async save(url: string, bytes: Buffer, headers: Readonly<Record<string, string>>): Promise<void> {
    await this.#inTurn(() => this.#save(url, bytes, headers));
  }

  /** One change after another: they share files. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #save(
    url: string,
    bytes: Buffer,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { files, hashes, kv, clock } = this.#components;
    const sha256 = sha256FromBytes(hashes.of(bytes));
    const path = this.#path(sha256);
    const before = this.facts(url);
    if ((await files.facts(path)) === undefined) {
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
    await kv.batch([{ key: PREFIX + url, value: JSON.stringify(facts) }]);
    if (before?.sha256 !== sha256) await this.#forgetOldest();
  }

  /** Keeps the newest within the limit, and no file that nothing refers to. */
  async #forgetOldest(): Promise<void> {
    const { files, kv } = this.#components;
    const all: { key: string; facts: DocumentFacts }[] = [];
    for await (const [key, value] of kv.range(PREFIX)) {
      all.push({ key, facts: JSON.parse(value) as DocumentFacts });
    }
    all.sort((a, b) => b.facts.storedAtMs - a.facts.storedAtMs);
    const old = all.slice(limits.documents);
    if (old.length > 0) await kv.batch(old.map(({ key }) => ({ key, value: undefined })));
    const used = new Set(all.slice(0, limits.documents).map(({ facts }) => facts.sha256));
    for (const { name } of await files.list(this.#directory)) {
      if (!used.has(name)) await files.remove(`${this.#directory}/${name}`);
    }
  }

  #path(sha256: string): string {
    return `${this.#directory}/${sha256}`;
  }
}
