/**
 * OpenPGP checks by the programs that apt itself relies on: gpgv, or sqv where there is no gpgv. They
 * get the keys that apt would use: those of Signed-By, else trusted.gpg and trusted.gpg.d (apt-secure(8)).
 */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Signatures, SignatureVerdict, SignedBy, SignedText } from "../archive/ports.ts";
import { errorText } from "../base/errors.ts";
import { MiB, second } from "../base/units.ts";

/** A check takes some 20 ms; a program that hangs is worth no more than one that is missing. */
const TIMEOUT_MS = 20 * second;

export class GpgSignatures implements Signatures {
  readonly #aptConfigDirectory: string;

  constructor(aptConfigDirectory: string) {
    this.#aptConfigDirectory = aptConfigDirectory;
  }

  async check(signed: SignedText): Promise<SignatureVerdict> {
    const keys = await this.#keys(signed.signedBy);
    if (keys.length === 0) return { kind: "unverifiable", reason: "apt has no key for it" };
    const directory = await mkdtemp(join(tmpdir(), "apt-p2p-sig-"));
    try {
      const keyring = join(directory, "keyring.gpg");
      const text = join(directory, "text");
      const signature = join(directory, "signature");
      await writeFile(keyring, Buffer.concat(keys));
      await writeFile(text, signed.text);
      if (signed.signature !== undefined) await writeFile(signature, signed.signature);
      const files = signed.signature === undefined ? [text] : [signature, text];
      const verdict = await gpgv(keyring, files);
      if (verdict !== undefined) return accepted(verdict, signed.signedBy);
      if (signed.signature === undefined && !(await split(signed.text, { signature, text }))) {
        return { kind: "unverifiable", reason: "it is not a clear-signed text" };
      }
      return accepted(await sqv(keyring, signature, text), signed.signedBy);
    } catch (thrown) {
      return { kind: "unverifiable", reason: errorText(thrown) };
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** Binary key rings, without armour: gpgv reads no other. */
  async #keys(signedBy: SignedBy | undefined): Promise<Buffer[]> {
    const embedded = (signedBy?.embeddedKeys ?? []).map((text) => dearmor(Buffer.from(text)));
    let files = signedBy?.keyFiles ?? [];
    if (files.length === 0 && embedded.length === 0) {
      const parts = join(this.#aptConfigDirectory, "trusted.gpg.d");
      const names = await readdir(parts).catch(() => []);
      const rings = names.filter((name) => /\.(gpg|asc)$/.test(name)).sort();
      files = [
        join(this.#aptConfigDirectory, "trusted.gpg"),
        ...rings.map((name) => join(parts, name)),
      ];
    }
    const read = await Promise.all(
      files.map((file) => readFile(file).then(dearmor, () => Buffer.alloc(0))),
    );
    return [...read, ...embedded].filter((key) => key.length > 0);
  }
}

/** ASCII armour (RFC 9580 section 6.2) → bytes; what bears none is returned as it is. */
function dearmor(key: Buffer): Buffer {
  const text = key.toString("latin1");
  if (!text.includes("-----BEGIN PGP PUBLIC KEY BLOCK-----")) return key;
  const blocks = text.matchAll(
    /-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n([\s\S]*?)-----END PGP PUBLIC KEY BLOCK-----/g,
  );
  const decoded = [...blocks].map(([, block = ""]) => {
    const body = /^(?:[^\n]*:[^\n]*\n)*\s*([\s\S]*?)(?:\n=[^\n]{4}\s*)?$/.exec(
      block.replaceAll("\r", ""),
    );
    return Buffer.from(body?.[1] ?? "", "base64");
  });
  return Buffer.concat(decoded);
}

/** undefined: there is no gpgv. */
async function gpgv(
  keyring: string,
  files: readonly string[],
): Promise<SignatureVerdict | undefined> {
  const args = ["--status-fd", "1", "--keyring", keyring, ...files];
  const { missing, stdout } = await run("gpgv", args);
  return missing ? undefined : readStatus(stdout);
}

/** What GnuPG says against a signature, by keyword. */
const PROBLEMS: Readonly<Record<string, (key: string) => string>> = {
  NO_PUBKEY: (key) => `no key ${key}`,
  EXPKEYSIG: (key) => `key ${key} has expired`,
  REVKEYSIG: (key) => `key ${key} was revoked`,
  EXPSIG: (key) => `the signature of ${key} has expired`,
  NODATA: () => "no signature",
};

/** Hash algorithms of OpenPGP (RFC 9580 section 9.5) from SHA-256 on; MD5 is 1, SHA-1 is 2. */
const WEAKEST_HASH = 8;

/** The machine-readable lines of GnuPG (doc/DETAILS) → verdict, by the rules of apt's gpgv method. */
export function readStatus(output: string): SignatureVerdict {
  const signedBy = new Set<string>();
  const problems: string[] = [];
  // VALIDSIG follows what is said of its signature; only after GOODSIG does it count, as in apt.
  let good = false;
  for (const [, keyword = "", rest = ""] of output.matchAll(/^\[GNUPG:\] (\S+) ?(.*)$/gm)) {
    const fields = rest.split(" ");
    const [key = "?"] = fields;
    if (keyword === "BADSIG") {
      return { kind: "contradicted", reason: `bad signature by key ${key}` };
    }
    const problem = problemOf(keyword, fields);
    if (problem !== undefined) problems.push(problem);
    if (keyword === "GOODSIG") good = true;
    else if (keyword === "NEWSIG" || problem !== undefined) good = false;
    // The signing (sub)key and its primary key.
    else if (keyword === "VALIDSIG" && good) signedBy.add(key).add(fields[9] ?? key);
  }
  if (signedBy.size > 0) return { kind: "verified", signedBy: [...signedBy] };
  return { kind: "unverifiable", reason: problems.join(", ") || "gpgv found no signature" };
}

function problemOf(keyword: string, fields: readonly string[]): string | undefined {
  const [key = "?"] = fields;
  if (keyword !== "VALIDSIG") return PROBLEMS[keyword]?.(key);
  const weak = !(Number(fields[7]) >= WEAKEST_HASH);
  return weak ? `the signature of ${key} uses a broken hash` : undefined;
}

async function sqv(keyring: string, signature: string, text: string): Promise<SignatureVerdict> {
  const { missing, code, stdout, stderr } = await run("sqv", [
    "--keyring",
    keyring,
    signature,
    text,
  ]);
  if (missing) return { kind: "unverifiable", reason: "neither gpgv nor sqv is installed" };
  const signedBy = stdout.split("\n").filter((line) => /^[0-9A-F]{40,64}$/.test(line));
  if (code === 0 && signedBy.length > 0) return { kind: "verified", signedBy };
  const reason = stderr.trim().split("\n").slice(-1)[0] ?? "sqv failed";
  const kind = /bad signature|digest mismatch/i.test(stderr) ? "contradicted" : "unverifiable";
  return { kind, reason };
}

/** Signed-By with fingerprints: one of them must have signed; `FPR!` means that very (sub)key. */
function accepted(verdict: SignatureVerdict, signedBy: SignedBy | undefined): SignatureVerdict {
  const wanted = signedBy?.fingerprints ?? [];
  if (verdict.kind !== "verified" || wanted.length === 0) return verdict;
  const bare = wanted.map((fingerprint) => fingerprint.replace(/!$/, "").toUpperCase());
  if (verdict.signedBy.some((fingerprint) => bare.includes(fingerprint))) return verdict;
  return { kind: "unverifiable", reason: "signed by a key that Signed-By does not name" };
}

/** A clear-signed text in its two parts (RFC 9580 section 7), for a program that wants them apart. */
async function split(
  inRelease: Buffer,
  paths: { readonly signature: string; readonly text: string },
): Promise<boolean> {
  const match =
    /^-----BEGIN PGP SIGNED MESSAGE-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n([\s\S]*?)\r?\n(-----BEGIN PGP SIGNATURE-----[\s\S]*-----END PGP SIGNATURE-----)\s*$/.exec(
      inRelease.toString("latin1"),
    );
  if (match === null) return false;
  const [text = "", signature = ""] = match.slice(1);
  // Dash escapes and trailing white space are no part of what was signed; nor is the last line end.
  const plain = text.replace(/^- /gm, "").replace(/[ \t\r]+$/gm, "");
  await writeFile(paths.text, plain, "latin1");
  await writeFile(paths.signature, signature, "latin1");
  return true;
}

interface ProgramResult {
  readonly missing: boolean;
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[]): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const env = { PATH: process.env["PATH"], LC_ALL: "C" };
    execFile(
      program,
      args,
      { timeout: TIMEOUT_MS, maxBuffer: MiB, env },
      (error, stdout, stderr) => {
        const code: unknown = error === null ? 0 : error.code;
        resolve({
          missing: code === "ENOENT",
          code: typeof code === "number" ? code : 1,
          stdout,
          stderr,
        });
      },
    );
  });
}
