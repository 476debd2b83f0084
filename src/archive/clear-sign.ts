/**
 * The signed text of a clear-signed document (RFC 4880 section 7).
 *
 * Strict, as apt is: the document is one signed message and nothing else, so that what is read here
 * is what the signature was checked over. Whatever another reader could take differently (text
 * outside, a second message, lines that GnuPG would cut) is an error.
 */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

const BEGIN = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE = "-----END PGP SIGNATURE-----";

/** Lines joined by LF, each without trailing blanks. Throws AptP2pError FORMAT for anything else. */
export function signedText(document: Buffer): string {
  if (document.length > limits.releaseBytes) {
    throw malformed(`has more than ${limits.releaseBytes} bytes`);
  }
  const lines = document.toString("utf8").split("\n").map(withoutTrailingBlanks);
  if (lines[0] !== BEGIN) throw malformed("does not begin with a clear-signed message");
  const textStart = endOfHeaders(lines);
  const textEnd = lines.indexOf(BEGIN_SIGNATURE, textStart);
  if (textEnd < 0) throw malformed("has no signature");
  const end = lines.indexOf(END_SIGNATURE, textEnd);
  if (end < 0) throw malformed("has a signature without end");
  if (lines.slice(end + 1).some((line) => line !== ""))
    throw malformed("goes on after its signature");
  return lines.slice(textStart, textEnd).map(unescapeDash).join("\n") + "\n";
}

/** Only `Hash` headers are allowed (RFC 4880 section 7); an empty line ends them. */
function endOfHeaders(lines: readonly string[]): number {
  for (let at = 1; at < lines.length; at++) {
    if (lines[at] === "") return at + 1;
    if (!/^Hash: [A-Za-z0-9, -]+$/.test(lines[at] ?? "")) throw malformed("has a strange header");
  }
  throw malformed("has no text");
}

/** What GnuPG leaves out of the digest. No regular expression: one would be quadratic in blanks. */
function withoutTrailingBlanks(line: string): string {
  let end = line.length;
  while (end > 0 && " \t\r".includes(line.charAt(end - 1))) end--;
  return line.slice(0, end);
}

function unescapeDash(line: string): string {
  if (line.length > limits.signedLineBytes) throw malformed("has a line that GnuPG would cut");
  if (!line.startsWith("-")) return line;
  if (line.startsWith("- ")) return line.slice(2);
  throw malformed("has an unescaped dash");
}

function malformed(what: string): AptP2pError {
  return new AptP2pError("FORMAT", `the signed document ${what}`);
}
