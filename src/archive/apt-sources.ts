/**
 * apt's sources: one-line style (sources.list(5)) and deb822 style (*.sources).
 *
 * Only what the archive room needs: where the archives lie, which suites, and which keys count. Other
 * transports than http and https name nothing that can be asked for here and are left out.
 */
import { parseParagraphs, parseYesNo, type Paragraph } from "./deb822.ts";
import type { SignedBy } from "./ports.ts";
import { splitPrefixPath, toRootName, type Location } from "./names.ts";

export interface SourceEntry {
  /** The archive root as the start of FileNames: `host` or `host/dir`. */
  readonly root: string;
  /** Hosts that this entry makes the machine talk to, without ports, as written. */
  readonly host: string;
  /** As written; one that ends with a slash is a path of a flat repository. */
  readonly suites: readonly string[];
  /** undefined: all keys that apt trusts. */
  readonly signedBy: SignedBy | undefined;
  /** The administrator's word: yes takes unsigned ones, no never believes a signature. */
  readonly trusted: boolean | undefined;
}

export interface ParsedSources {
  readonly entries: readonly SourceEntry[];
  /** Numbers (from 1) of lines, or of paragraphs, that could not be read. */
  readonly malformed: readonly number[];
}

/** `ownAuthorities`: the forms `host:port` of this daemon, whose prefix form names the host behind. */
export function parseOneLineSources(
  text: string,
  ownAuthorities: readonly string[],
): ParsedSources {
  const entries: SourceEntry[] = [];
  const malformed: number[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.replace(/#.*$/, "").trim();
    if (line === "") continue;
    const match = /^(deb|deb-src)[ \t]+(?:\[([^\]]*)\][ \t]*)?([^ \t]+)[ \t]+([^ \t]+)/.exec(line);
    if (match === null) {
      malformed.push(index + 1);
      continue;
    }
    const [, , options = "", uri = "", suite = ""] = match;
    const { signedBy, trusted } = oneLineOptions(options);
    const place = placeOf(unquote(uri), ownAuthorities);
    if (place !== undefined)
      entries.push({ ...place, suites: [unquote(suite)], signedBy, trusted });
  }
  return { entries, malformed };
}

export function parseDeb822Sources(text: string, ownAuthorities: readonly string[]): ParsedSources {
  const entries: SourceEntry[] = [];
  const malformed: number[] = [];
  for (const [index, paragraph] of parseParagraphs(text).entries()) {
    if (parseYesNo(words(paragraph, "enabled")[0]) === false) continue;
    const suites = words(paragraph, "suites");
    const uris = words(paragraph, "uris");
    const types = words(paragraph, "types");
    if (suites.length === 0 || uris.length === 0 || types.length === 0) {
      malformed.push(index + 1);
      continue;
    }
    const signedBy = parseSignedBy(paragraph.get("signed-by") ?? []);
    const trusted = parseYesNo(words(paragraph, "trusted")[0]);
    for (const uri of uris) {
      const place = placeOf(uri, ownAuthorities);
      if (place !== undefined) entries.push({ ...place, suites, signedBy, trusted });
    }
  }
  return { entries, malformed };
}

/**
 * The directory of the Release of one suite of an entry: `root/dists/suite`, or for a flat
 * repository `root/suite`. undefined where the suite leads outside.
 */
export function releaseDirectory(root: string, suite: string): string | undefined {
  if (!suite.endsWith("/")) return below(root, `dists/${suite}`);
  return below(root, suite);
}

function below(root: string, path: string): string | undefined {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return parts.includes("..") ? undefined : [root, ...parts].join("/");
}

/** Where a source's URI leads; through our own prefix form to the host behind. */
function placeOf(
  uri: string,
  ownAuthorities: readonly string[],
): Pick<SourceEntry, "root" | "host"> | undefined {
  const match = /^(https?):\/\/([^/?#]+)([^?#]*)$/i.exec(uri);
  if (match === null) return undefined;
  const [, scheme = "", authority = "", path = ""] = match;
  let location: Location | undefined = {
    scheme: scheme.toLowerCase() === "https" ? "https" : "http",
    authority,
    path,
  };
  if (ownAuthorities.includes(authority.toLowerCase())) location = splitPrefixPath(path);
  if (location === undefined) return undefined;
  const root = toRootName(location.authority, location.path, location.scheme);
  if (root === undefined) return undefined;
  const host = root.split("/", 1)[0] ?? "";
  return { root, host: host.replace(/:\d+$/, "") };
}

function oneLineOptions(options: string): Pick<SourceEntry, "signedBy" | "trusted"> {
  let signedBy: SignedBy | undefined;
  let trusted: boolean | undefined;
  for (const option of options.split(/[ \t]+/)) {
    const [name = "", value = ""] = option.split(/[+-]?=/, 2);
    if (name.toLowerCase() === "signed-by") signedBy = parseSignedBy(value.split(","));
    if (name.toLowerCase() === "trusted") trusted = parseYesNo(value);
  }
  return { signedBy, trusted };
}

/** Paths of key files, fingerprints (with `!` for "no subkeys"), or armoured blocks; ` .` is empty. */
function parseSignedBy(lines: readonly string[]): SignedBy | undefined {
  const keyFiles: string[] = [];
  const fingerprints: string[] = [];
  const embeddedKeys: string[] = [];
  let block: string[] | undefined;
  for (const line of lines) {
    if (line.startsWith("-----BEGIN PGP")) block = [];
    if (block !== undefined) {
      block.push(line === "." ? "" : line);
      if (line.startsWith("-----END PGP")) {
        embeddedKeys.push(`${block.join("\n")}\n`);
        block = undefined;
      }
      continue;
    }
    for (const word of line.split(/[ \t,]+/)) {
      if (word.startsWith("/")) keyFiles.push(word);
      else if (/^[0-9A-Fa-f]{16,64}!?$/.test(word))
        fingerprints.push(word.replace("!", "").toUpperCase());
    }
  }
  const none = keyFiles.length + fingerprints.length + embeddedKeys.length === 0;
  return none ? undefined : { keyFiles, fingerprints, embeddedKeys };
}

function words(paragraph: Paragraph, field: string): readonly string[] {
  return (paragraph.get(field) ?? [])
    .join(" ")
    .split(/[ \t]+/)
    .filter((word) => word !== "");
}

function unquote(text: string): string {
  return text.replaceAll('"', "");
}
