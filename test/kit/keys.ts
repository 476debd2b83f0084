/**
 * The signing keys of test archives: one GnuPG home a process, with a key that apt is told to trust
 * and one that it is not. The same text is signed once only, so that archives built alike are alike.
 */
import { execFile } from "node:child_process";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { scratchDirectory, undoable } from "./scratch.ts";

const run = promisify(execFile);

export type Signer = "trusted" | "stranger";

export interface Keys {
  /** Binary keyring with the trusted key alone; apt's and gpgv's format. */
  readonly keyringPath: string;
  /** Binary keyring with the stranger's key alone. */
  readonly strangerKeyringPath: string;
  /** The trusted key as ASCII armour, for a Signed-By field. */
  readonly armoured: string;
  /** Text → InRelease. */
  clearsign(text: string, signer: Signer): Promise<string>;
  /** Text → Release.gpg. */
  detach(text: string, signer: Signer): Promise<string>;
}

let keys: Promise<Keys> | undefined;

export function testKeys(): Promise<Keys> {
  keys ??= generate();
  return keys;
}

async function generate(): Promise<Keys> {
  const { path } = scratchDirectory("keys");
  const home = join(path, "gpg");
  mkdirSync(home, { mode: 0o700 });
  const base = ["--homedir", home, "--batch", "--quiet", "--no-tty", "--no-permission-warning"];
  undoable(() =>
    execFileSync("gpgconf", ["--homedir", home, "--kill", "all"], { stdio: "ignore" }),
  );
  const unlocked = ["--pinentry-mode", "loopback", "--passphrase", ""];
  const mail = (signer: Signer): string => `${signer}@example.invalid`;
  for (const signer of ["trusted", "stranger"] as const) {
    const make = [
      "--quick-gen-key",
      `Test Kit ${signer} <${mail(signer)}>`,
      "ed25519",
      "sign",
      "never",
    ];
    await run("gpg", [...base, ...unlocked, ...make]);
    const ring = join(path, `${signer}.gpg`);
    await run("gpg", [...base, "--export", "--output", ring, mail(signer)]);
  }
  const { stdout: armoured } = await run("gpg", [...base, "--armor", "--export", mail("trusted")]);
  const made = new Map<string, Promise<string>>();
  let last: Promise<unknown> = Promise.resolve();
  let files = 0;
  const sign = (mode: readonly string[], text: string, signer: Signer): Promise<string> => {
    const key = [...mode, signer, text].join("\n");
    const known = made.get(key);
    if (known !== undefined) return known;
    const file = join(path, `text-${++files}`);
    const args = [
      ...base,
      ...unlocked,
      "--local-user",
      mail(signer),
      ...mode,
      "--output",
      "-",
      file,
    ];
    const signed = last.then(async () => {
      writeFileSync(file, text);
      return (await run("gpg", args, { maxBuffer: 1 << 26 })).stdout;
    });
    last = signed.catch(() => undefined);
    made.set(key, signed);
    return signed;
  };
  return {
    keyringPath: join(path, "trusted.gpg"),
    strangerKeyringPath: join(path, "stranger.gpg"),
    armoured,
    clearsign: (text, signer) => sign(["--clearsign"], text, signer),
    detach: (text, signer) => sign(["--armor", "--detach-sign"], text, signer),
  };
}
