/**
 * Learning from documents: InRelease; Release with Release.gpg; SHA256SUMS with its signature.
 *
 * Rules: what a signature contradicts is refused, unless the administrator wrote `trusted=yes`; what
 * cannot be verified is taken and flagged; a text that was verified once is not lowered by a copy of
 * it that came without its signature. A detached signature and its text come in any order.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import type { Counters } from "../base/counters.ts";
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Hashes } from "../base/ports.ts";
import { sha256FromBytes } from "../base/sha256.ts";
import type { Catalogue } from "./catalogue.ts";
import { classify } from "./classify.ts";
import { signedText } from "./clear-sign.ts";
import { parseFacts } from "./facts.ts";
import type { Keeper } from "./keeper.ts";
import { KnownRelease, type ReleaseRecord } from "./known-release.ts";
import { directoryOf, hostOf } from "./names.ts";
import type { Signatures, SignatureVerdict } from "./ports.ts";
import type { Refusals } from "./refusals.ts";
import type { ReleaseFacts } from "./release.ts";
import type { ReleaseSource, Sources } from "./sources.ts";
import type { FileName } from "./types.ts";

export interface DocumentsComponents {
  readonly hashes: Hashes;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly signatures: Signatures;
  readonly sources: Sources;
  readonly catalogue: Catalogue;
  readonly keeper: Keeper;
  readonly refusals: Refusals;
}

/** The half of a document with a detached signature that has come. */
interface Pending {
  readonly text?: { readonly name: FileName; readonly bytes: Buffer };
  readonly signature?: Buffer;
}

/** What is said about a text: by its signature, or by a Release that lists it. */
interface Judgement {
  readonly trust: "verified" | "unverified";
  readonly signedBy: readonly string[];
  readonly note?: string;
  readonly provenBy?: FileName;
  /** Whether this replaces what was judged before about the same text. */
  readonly final: boolean;
}

interface Candidate {
  readonly name: FileName;
  readonly form: ReleaseRecord["form"];
  /** As it was parsed. */
  readonly text: string;
  readonly facts: ReleaseFacts;
}

export class Documents {
  readonly #components: DocumentsComponents;
  /** By directory and form. */
  readonly #pending = new BoundedMap<string, Pending>(limits.pendingDocuments);

  constructor(components: DocumentsComponents) {
    this.#components = components;
  }

  /**
   * Takes a document in → the Release that the catalogue has from it now, if any. What cannot be
   * taken is refused (Refusals), never thrown.
   */
  async learn(name: FileName, bytes: Buffer): Promise<KnownRelease | undefined> {
    const kind = classify(name).kind;
    try {
      if (kind === "inrelease") return await this.#learnInline(name, bytes);
      if (kind === "release") return await this.#learnText(name, "release", bytes);
      if (kind === "sums") return await this.#learnSums(name, bytes);
      if (kind === "release-signature") return await this.#learnSignature(name, "release", bytes);
      if (kind === "sums-signature") return await this.#learnSignature(name, "sums", bytes);
    } catch (thrown) {
      // A Release below another one (binary-amd64/Release) lists nothing and needs no remark.
      if (this.#components.catalogue.expectations(name).length > 0) return undefined;
      this.#components.refusals.add("document", "malformed", name, errorText(thrown));
    }
    return undefined;
  }

  async #learnInline(name: FileName, bytes: Buffer): Promise<KnownRelease | undefined> {
    const candidate = parse(name, "release", signedText(bytes));
    const source = await this.#source(name);
    const { signedBy } = source ?? {};
    const verdict = await this.#components.signatures.check({
      text: bytes,
      ...(signedBy !== undefined && { signedBy }),
    });
    return this.#decide(candidate, verdict, source);
  }

  /** A text with a detached signature: unverified until that has come. */
  async #learnText(
    name: FileName,
    form: ReleaseRecord["form"],
    bytes: Buffer,
  ): Promise<KnownRelease | undefined> {
    const candidate = parse(name, form, bytes.toString("utf8"));
    const key = pendingKey(name, form);
    const { signature } = this.#pending.get(key) ?? {};
    this.#pending.set(key, { text: { name, bytes }, ...(signature && { signature }) });
    const source = await this.#source(name);
    if (signature !== undefined) {
      const verdict = await this.#check(bytes, signature, source);
      // The signature may be that of an older text: only a match means anything yet.
      if (verdict.kind === "verified") return this.#decide(candidate, verdict, source);
    }
    const note = "its signature has not come (yet)";
    return this.#register(
      candidate,
      { trust: "unverified", signedBy: [], note, final: false },
      source,
    );
  }

  async #learnSignature(
    name: FileName,
    form: ReleaseRecord["form"],
    signature: Buffer,
  ): Promise<KnownRelease | undefined> {
    const key = pendingKey(name, form);
    const { text } = this.#pending.get(key) ?? {};
    this.#pending.set(key, { ...(text && { text }), signature });
    if (text === undefined) return undefined;
    const source = await this.#source(text.name);
    const verdict = await this.#check(text.bytes, signature, source);
    return this.#decide(parse(text.name, form, text.bytes.toString("utf8")), verdict, source);
  }

  /** SHA256SUMS that a Release lists needs no signature of its own, and may not differ from it. */
  async #learnSums(name: FileName, bytes: Buffer): Promise<KnownRelease | undefined> {
    const { catalogue, hashes, refusals } = this.#components;
    const sha256 = sha256FromBytes(hashes.of(bytes));
    const listed = catalogue.expectations(name).filter(({ trust }) => trust === "verified");
    if (listed.length === 0) return this.#learnText(name, "sums", bytes);
    const proof = listed.find((expectation) => expectation.sha256 === sha256);
    if (proof === undefined) {
      refusals.add("document", "contradicted", name, `${listed[0]?.listedIn} lists another digest`);
      return undefined;
    }
    const { release, signedBy } = proof;
    return this.#register(
      parse(name, "sums", bytes.toString("utf8")),
      { trust: "verified", signedBy, final: true, ...provenBy(release) },
      undefined,
    );
  }

  async #decide(
    candidate: Candidate,
    verdict: SignatureVerdict,
    source: ReleaseSource | undefined,
  ): Promise<KnownRelease | undefined> {
    if (verdict.kind === "contradicted" && source?.trusted !== true) {
      await this.#refuse(candidate, verdict.reason);
      return undefined;
    }
    return this.#register(candidate, judge(verdict, source), source);
  }

  /** Also forgets the same text if it was taken before its signature came. */
  async #refuse(candidate: Candidate, reason: string): Promise<void> {
    const { catalogue, keeper, refusals } = this.#components;
    refusals.add("document", "contradicted", candidate.name, reason);
    const known = catalogue.release(this.#keyOf(candidate));
    if (known?.verified === false) await keeper.removeRelease(known);
  }

  async #register(
    candidate: Candidate,
    judgement: Judgement,
    source: ReleaseSource | undefined,
  ): Promise<KnownRelease> {
    const { catalogue, clock, counters, keeper, refusals } = this.#components;
    const known = catalogue.release(this.#keyOf(candidate));
    const keeps = known?.verified === true && !judgement.final;
    const { trust, signedBy, note, provenBy: root } = keeps ? known.record : judgement;
    const record: ReleaseRecord = {
      name: keeps ? known.record.name : candidate.name,
      text: this.#textDigest(candidate),
      form: candidate.form,
      base: source?.base ?? guessBase(candidate),
      trust,
      signedBy,
      ...(root !== undefined && { provenBy: root }),
      ...(note !== undefined && { note }),
      seenAtMs: clock.wallMs(),
    };
    const release = new KnownRelease(record, candidate.facts);
    counters.add(`archive.document.${trust}`);
    counters.add("archive.document.refusedEntries", candidate.facts.refusedEntries);
    refusals.lift(candidate.name);
    await keeper.addRelease(release, candidate.text);
    return release;
  }

  /** Sources are read again each time: documents are rare, and the answer decides about trust. */
  async #source(name: FileName): Promise<ReleaseSource | undefined> {
    await this.#components.sources.refresh();
    return this.#components.sources.about(directoryOf(name));
  }

  #check(
    text: Buffer,
    signature: Buffer,
    source: ReleaseSource | undefined,
  ): Promise<SignatureVerdict> {
    const { signedBy } = source ?? {};
    return this.#components.signatures.check({
      text,
      signature,
      ...(signedBy !== undefined && { signedBy }),
    });
  }

  #textDigest(candidate: Candidate): ReleaseRecord["text"] {
    return sha256FromBytes(this.#components.hashes.of(candidate.text));
  }

  #keyOf(candidate: Candidate): string {
    return `${directoryOf(candidate.name)}!${this.#textDigest(candidate)}`;
  }
}

/**
 * The archive root of a Release that no source names: what stands before `/dists/`; in a flat
 * repository the Release's own directory, since a higher one would let it speak about its neighbours.
 */
function guessBase(candidate: Candidate): string {
  const directory = directoryOf(candidate.name);
  if (candidate.form === "sums") return directory;
  const dists = directory.lastIndexOf("/dists/");
  return dists < 0 ? directory : directory.slice(0, dists);
}

function judge(verdict: SignatureVerdict, source: ReleaseSource | undefined): Judgement {
  if (verdict.kind !== "verified") {
    return { trust: "unverified", signedBy: [], note: verdict.reason, final: true };
  }
  if (source?.trusted === false) {
    const note = "apt's sources say trusted=no";
    return { trust: "unverified", signedBy: [], note, final: true };
  }
  return { trust: "verified", signedBy: verdict.signedBy, final: true };
}

function provenBy(release: string | undefined): { readonly provenBy?: FileName } {
  return release === undefined ? {} : { provenBy: release as FileName };
}

function parse(name: FileName, form: ReleaseRecord["form"], text: string): Candidate {
  return { name, form, text, facts: parseFacts(form, text) };
}

/** Text and signature lie in one directory. */
function pendingKey(name: FileName, form: ReleaseRecord["form"]): string {
  return `${form} ${directoryOf(name)}`;
}

/** What `settled` must wait for while the document at `name` is being read. */
export function scopeOfDocument(name: FileName): string {
  const directory = directoryOf(name);
  const dists = directory.lastIndexOf("/dists/");
  return dists < 0 ? hostOf(name) : directory.slice(0, dists);
}
