/** SHA256SUMS beside images, as sha256sum(1) writes it: `<hex>  name` (text) or `<hex> *name` (binary). */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { parseSha256, type Sha256 } from "../base/sha256.ts";
import { detached, relativeName } from "./names.ts";

export interface SummedFile {
  /** Relative to the directory of the SHA256SUMS. */
  readonly path: string;
  readonly sha256: Sha256;
}

/**
 * The files of a SHA256SUMS. Lines of another form, escaped names (`\` in front) and names outside
 * are skipped. Throws AptP2pError FORMAT if the text is too large or no line is left.
 */
export function parseSums(text: string): readonly SummedFile[] {
  if (text.length > limits.releaseBytes) {
    throw new AptP2pError("FORMAT", `SHA256SUMS has more than ${limits.releaseBytes} bytes`);
  }
  const files: SummedFile[] = [];
  for (const line of text.split("\n")) {
    const match = /^([0-9A-Fa-f]{64}) [ *](.+?)\r?$/.exec(line);
    const sha256 = parseSha256(match?.[1] ?? "");
    const path = relativeName(match?.[2] ?? "");
    if (sha256 !== undefined && path !== undefined) {
      files.push({ path: detached(path), sha256: detached(sha256) });
    }
  }
  if (files.length === 0) throw new AptP2pError("FORMAT", "SHA256SUMS lists no file");
  return files;
}
