/** What a file is, from its name alone. */
import { lastSegment } from "./names.ts";
import type { FileKind, HashName } from "./types.ts";

const HEX_DIGITS: Readonly<Record<HashName, number>> = {
  SHA256: 64,
  SHA512: 128,
  SHA1: 40,
  MD5Sum: 32,
};

const INDEX = /^(Packages|Sources)(?:\.(?:xz|gz|bz2|lzma|zst|lz4))?$/;

/** Classifies a FileName, or a path relative to one. */
export function classify(name: string): FileKind {
  const last = lastSegment(name);
  return byHash(name, last) ?? KNOWN.get(last) ?? patchOrIndex(name, last) ?? { kind: "file" };
}

/** The name of an index without the ending of its compression. */
export function withoutCompression(name: string): string {
  return name.replace(/\.(?:xz|gz|bz2|lzma|zst|lz4)$/, "");
}

const KNOWN: ReadonlyMap<string, FileKind> = new Map([
  ["InRelease", { kind: "inrelease" }],
  ["Release", { kind: "release" }],
  ["Release.gpg", { kind: "release-signature" }],
  ["SHA256SUMS", { kind: "sums" }],
  ["SHA256SUMS.sign", { kind: "sums-signature" }],
  ["SHA256SUMS.gpg", { kind: "sums-signature" }],
]);

/** `…/by-hash/SHA256/<hex>`, in lower case as the Debian repository format has it. */
function byHash(name: string, last: string): FileKind | undefined {
  const hash = /(?:^|\/)by-hash\/(SHA256|SHA512|SHA1|MD5Sum)\/[^/]+$/.exec(name)?.[1];
  if (hash === undefined) return undefined;
  const length = HEX_DIGITS[hash as HashName];
  if (last.length !== length || !/^[0-9a-f]+$/.test(last)) return undefined;
  return { kind: "by-hash", hash: hash as HashName, hex: last };
}

function patchOrIndex(name: string, last: string): FileKind | undefined {
  if (/(?:^|\/)[^/]+\.diff\/[^/]+$/.test(name)) {
    return { kind: last === "Index" ? "diff-index" : "diff-patch" };
  }
  const of = INDEX.exec(last)?.[1];
  if (of === undefined) return undefined;
  return { kind: "index", of: of === "Packages" ? "packages" : "sources" };
}
