/**
 * What is known about files of archives, in memory: Releases, the tables of their indexes, and the
 * answer to "what must this file be?".
 *
 * Rules:
 * - A Release speaks only below its directory and base (known-release.ts).
 * - Where something verified speaks, nothing unverified is heard.
 * - Several generations speak at once, newest first: a client may be a little behind.
 * - Tables hang on Releases by digest: a Release that lists an index's digest, plain or compressed,
 *   has its table, in whatever order the two were learned.
 * - Bounds: limits.releaseGenerations, catalogueReleases, releaseFiles, catalogueRows. What is
 *   unverified, then what is old, goes first.
 */
import { limits } from "../base/limits.ts";
import type { Hashes } from "../base/ports.ts";
import { parseSha256, type Sha256 } from "../base/sha256.ts";
import { classify } from "./classify.ts";
import { DigestQuery } from "./digest-query.ts";
import { below, type Attachment, type KnownRelease } from "./known-release.ts";
import { directoryOf, hostOf } from "./names.ts";
import type { ReleaseFile } from "./release.ts";
import { tableKey } from "./table-row.ts";
import type { Table } from "./table.ts";
import type { Expectation, FileName, Trust } from "./types.ts";

/** An expectation with what it is ordered by. */
interface Claim extends Expectation {
  readonly dateMs: number;
}

const TRUST_RANK: Readonly<Record<Trust, number>> = {
  verified: 0,
  "self-naming": 1,
  unverified: 2,
};

export class Catalogue {
  readonly #hashes: Hashes;
  readonly #releases = new Map<string, KnownRelease>();
  /** Releases of a host, best first. */
  readonly #byHost = new Map<string, readonly KnownRelease[]>();
  /** By the plain index's digest. */
  readonly #tables = new Map<Sha256, Table>();
  /** Digest of a compressed index → digest of the plain one. Bounded by the tables. */
  readonly #plainOf = new Map<Sha256, Sha256>();

  constructor(hashes: Hashes) {
    this.#hashes = hashes;
  }

  get tableCount(): number {
    return this.#tables.size;
  }

  get rowCount(): number {
    let rows = 0;
    for (const table of this.#tables.values()) rows += table.rowCount;
    return rows;
  }

  /** All Releases, best first within a host. */
  releases(host?: string): readonly KnownRelease[] {
    if (host !== undefined) return this.#byHost.get(host) ?? [];
    return [...this.#byHost.values()].flat();
  }

  release(key: string): KnownRelease | undefined {
    return this.#releases.get(key);
  }

  /**
   * Adds a Release, or puts it in the place of one with the same key. Returns what had to go for it
   * (perhaps the new one itself, if it is older than all that are kept).
   */
  addRelease(release: KnownRelease): readonly KnownRelease[] {
    this.#releases.set(release.key, release);
    this.#sortHost(hostOf(release.record.name));
    const dropped = this.#overfull(release);
    for (const old of dropped) this.removeRelease(old);
    this.#attach(release);
    return dropped;
  }

  removeRelease(release: KnownRelease): void {
    this.#releases.delete(release.key);
    this.#sortHost(hostOf(release.record.name));
  }

  hasTable(plain: Sha256): boolean {
    return this.#tables.has(plain);
  }

  /** The plain digest of an index known by the digest of any form. */
  plainOf(digest: Sha256): Sha256 | undefined {
    return this.#tables.has(digest) ? digest : this.#plainOf.get(digest);
  }

  /** Digests of compressed forms of a plain index. */
  formsOf(plain: Sha256): readonly Sha256[] {
    return [...this.#plainOf].filter(([, other]) => other === plain).map(([form]) => form);
  }

  /** Adds the table of a plain index; it hangs on every Release that lists one of its digests. */
  addTable(plain: Sha256, table: Table): void {
    this.#tables.set(plain, table);
    this.#attachWhereListed(plain);
  }

  /** Remembers that `form` is the compressed form of a plain index that has a table. */
  addForm(form: Sha256, plain: Sha256): void {
    if (form === plain || !this.#tables.has(plain)) return;
    this.#plainOf.set(form, plain);
    this.#attachWhereListed(form);
  }

  removeTable(plain: Sha256): void {
    this.#tables.delete(plain);
    for (const form of this.formsOf(plain)) this.#plainOf.delete(form);
    for (const release of this.#releases.values()) {
      if (release.attachments.some((attachment) => attachment.plain === plain)) {
        this.#attach(release);
      }
    }
  }

  /** Tables that hang on no Release any more. */
  looseTables(): readonly Sha256[] {
    const held = new Set<Sha256>();
    for (const release of this.#releases.values()) {
      for (const { plain } of release.attachments) held.add(plain);
    }
    return [...this.#tables.keys()].filter((plain) => !held.has(plain));
  }

  /**
   * Tables to give up so that `rows` more fit in limits.catalogueRows: those that only unverified or
   * older Releases need, and only ones that matter less than the new one. undefined: not enough.
   */
  roomFor(rows: number, releases: readonly KnownRelease[]): readonly Sha256[] | undefined {
    let excess = this.rowCount + rows - limits.catalogueRows;
    if (excess <= 0) return [];
    const rank = Math.max(...releases.map((release) => this.#rank(release)));
    const candidates = [...this.#tables]
      .map(([plain, table]) => ({ plain, table, rank: this.#tableRank(plain) }))
      .filter((candidate) => candidate.rank < rank)
      .sort((a, b) => a.rank - b.rank);
    const given: Sha256[] = [];
    for (const { plain, table } of candidates) {
      if (excess <= 0) break;
      given.push(plain);
      excess -= table.rowCount;
    }
    return excess <= 0 ? given : undefined;
  }

  /** What the file of this name must be, best first; [] when nothing is known. */
  expectations(name: FileName): readonly Expectation[] {
    const kind = classify(name);
    const claims: Claim[] = [];
    if (kind.kind === "by-hash") {
      if (kind.hash === "SHA256") claims.push(selfNaming(name, kind.hex));
      if (kind.hash === "SHA512" || kind.hash === "SHA256") {
        this.#byHashClaims(name, kind.hash, kind.hex, claims);
      }
    }
    const keys = new Map<string, Uint8Array>();
    for (const release of this.releases(hostOf(name))) {
      const path = release.pathOf(name);
      const file = path === undefined ? undefined : release.file(path);
      if (file !== undefined) claims.push(claimOf(release, file));
      for (const attachment of release.attachments) {
        this.#tableClaims({ name, release, attachment, keys }, claims);
      }
    }
    return ranked(claims);
  }

  /** Those of the digests that a Release or a table lists. */
  listed(digests: ReadonlySet<Sha256>): ReadonlySet<Sha256> {
    const found = new Set<Sha256>();
    const query = new DigestQuery(digests);
    for (const table of this.#tables.values()) table.collect(query, found);
    for (const release of this.#releases.values()) {
      for (const { sha256 } of release.facts.files) if (digests.has(sha256)) found.add(sha256);
    }
    return found;
  }

  #byHashClaims(name: FileName, hash: "SHA256" | "SHA512", hex: string, claims: Claim[]): void {
    // …/DIR/by-hash/HASH/HEX names a file that lies in DIR.
    const directory = directoryOf(directoryOf(directoryOf(name)));
    for (const release of this.releases(hostOf(name))) {
      if (directory !== release.directory && below(release.directory, directory) === undefined) {
        continue;
      }
      const sha256 = hash === "SHA256" ? parseSha256(hex) : undefined;
      const file = sha256 === undefined ? release.fileOfSha512(hex) : release.fileOfDigest(sha256);
      if (file !== undefined) claims.push(claimOf(release, file));
    }
  }

  #tableClaims(
    place: {
      readonly name: FileName;
      readonly release: KnownRelease;
      readonly attachment: Attachment;
      /** Key of the name relative to each prefix; filled on the way. */
      readonly keys: Map<string, Uint8Array>;
    },
    claims: Claim[],
  ): void {
    const { name, release, attachment, keys } = place;
    const { prefix, table, listedIn } = attachment;
    if (!name.startsWith(prefix)) return;
    const key = keys.get(prefix) ?? tableKey(this.#hashes, name.slice(prefix.length));
    keys.set(prefix, key);
    for (const { sha256, sizeBytes } of table.find(key)) {
      claims.push({ ...provenance(release), sha256, sizeBytes, listedIn });
    }
  }

  #attachWhereListed(digest: Sha256): void {
    for (const release of this.#releases.values()) {
      if (release.fileOfDigest(digest) !== undefined) this.#attach(release);
    }
  }

  #attach(release: KnownRelease): void {
    const attachments = new Map<string, Attachment>();
    for (const { file, kind, plainPath } of release.indexes) {
      const plain = this.plainOf(file.sha256);
      const table = plain === undefined ? undefined : this.#tables.get(plain);
      if (plain === undefined || table === undefined) continue;
      const listedIn = `${release.directory}/${plainPath}`;
      const prefix = `${kind === "diff" ? directoryOf(listedIn) : release.record.base}/`;
      attachments.set(`${prefix}${plain}`, { plain, listedIn, prefix, table });
    }
    release.attachments = [...attachments.values()];
  }

  #sortHost(host: string): void {
    const releases = [...this.#releases.values()].filter(
      (release) => hostOf(release.record.name) === host,
    );
    if (releases.length === 0) this.#byHost.delete(host);
    else this.#byHost.set(host, releases.sort(bestFirst));
  }

  /** What must go after `added` came in. */
  #overfull(added: KnownRelease): readonly KnownRelease[] {
    const siblings = this.releases(hostOf(added.record.name)).filter(
      (other) => other.directory === added.directory && other.verified === added.verified,
    );
    const dropped = new Set(siblings.slice(limits.releaseGenerations));
    const kept = [...this.#releases.values()].filter((release) => !dropped.has(release));
    kept.sort(leastWantedFirst);
    let files = kept.reduce((sum, release) => sum + release.facts.files.length, 0);
    let count = kept.length;
    for (const release of kept) {
      if (count <= limits.catalogueReleases && files <= limits.releaseFiles) break;
      dropped.add(release);
      files -= release.facts.files.length;
      count--;
    }
    return [...dropped];
  }

  /** 3: newest verified, 2: older verified, 1: newest unverified, 0: older unverified. */
  #rank(release: KnownRelease): number {
    const newest = this.releases(hostOf(release.record.name)).find(
      (other) => other.directory === release.directory && other.verified === release.verified,
    );
    return (release.verified ? 2 : 0) + (newest === release ? 1 : 0);
  }

  #tableRank(plain: Sha256): number {
    let rank = -1;
    for (const release of this.#releases.values()) {
      if (release.attachments.some((attachment) => attachment.plain === plain)) {
        rank = Math.max(rank, this.#rank(release));
      }
    }
    return rank;
  }
}

function selfNaming(name: FileName, hex: string): Claim {
  return {
    sha256: hex as Sha256,
    sizeBytes: undefined,
    trust: "self-naming",
    listedIn: name,
    release: undefined,
    signedBy: [],
    dateMs: 0,
  };
}

function claimOf(release: KnownRelease, file: ReleaseFile): Claim {
  const { sha256, sizeBytes } = file;
  return { ...provenance(release), sha256, sizeBytes, listedIn: release.record.name };
}

function provenance(
  release: KnownRelease,
): Pick<Claim, "trust" | "release" | "signedBy" | "dateMs"> {
  const { trust, name, signedBy, provenBy } = release.record;
  return { trust, release: provenBy ?? name, signedBy, dateMs: release.dateMs };
}

/** Best first, equal digests merged, without unverified claims where there is a verified one. */
function ranked(claims: Claim[]): readonly Expectation[] {
  claims.sort((a, b) => TRUST_RANK[a.trust] - TRUST_RANK[b.trust] || b.dateMs - a.dateMs);
  const verified = claims[0]?.trust === "verified";
  const merged = new Map<Sha256, Expectation>();
  for (const claim of claims) {
    const better = merged.get(claim.sha256);
    if (better === undefined) {
      if (!verified || claim.trust !== "unverified") merged.set(claim.sha256, expectationOf(claim));
    } else if (better.sizeBytes === undefined && (!verified || claim.trust === "verified")) {
      merged.set(claim.sha256, { ...better, sizeBytes: claim.sizeBytes });
    }
  }
  return [...merged.values()];
}

function expectationOf(claim: Claim): Expectation {
  const { sha256, sizeBytes, trust, listedIn, release, signedBy } = claim;
  return { sha256, sizeBytes, trust, listedIn, release, signedBy };
}

/** Verified before unverified, newer before older, and of equal age the one seen last. */
function bestFirst(a: KnownRelease, b: KnownRelease): number {
  return (
    Number(b.verified) - Number(a.verified) ||
    b.dateMs - a.dateMs ||
    b.record.seenAtMs - a.record.seenAtMs
  );
}

function leastWantedFirst(a: KnownRelease, b: KnownRelease): number {
  return Number(a.verified) - Number(b.verified) || a.record.seenAtMs - b.record.seenAtMs;
}
