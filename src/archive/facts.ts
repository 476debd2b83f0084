/** The facts of a document by its form; SHA256SUMS is read as a Release without a date. */
import { parseRelease, type ReleaseFacts } from "./release.ts";
import { parseSums } from "./sums.ts";

/** Throws AptP2pError FORMAT. */
export function parseFacts(form: "release" | "sums", text: string): ReleaseFacts {
  if (form === "release") return parseRelease(text);
  const files = parseSums(text).map(({ path, sha256 }) => ({
    path,
    sha256,
    sizeBytes: undefined,
    sha512: undefined,
  }));
  return {
    suite: undefined,
    codename: undefined,
    dateMs: undefined,
    validUntilMs: undefined,
    acquireByHash: false,
    files,
    refusedEntries: 0,
  };
}
