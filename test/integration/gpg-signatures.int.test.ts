import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "mocha";
import { GpgSignatures, readStatus } from "../../src/io/gpg-signatures.ts";

/** Two key owners with real keys, and an apt configuration that trusts the first. */
describe("GpgSignatures.check()", function () {
  this.timeout(30_000);
  const directory = mkdtempSync(join(tmpdir(), "apt-p2p-test-gpg-"));
  const text = "Origin: Lab\nSuite: stable\n- dashes\nSHA256:\n abc 1 main/x   \n";
  const signatures = new GpgSignatures(join(directory, "apt"));
  let ours: Key;
  let other: Key;

  before(() => {
    ours = makeKey(directory, "ours");
    other = makeKey(directory, "other");
    mkdirSync(join(directory, "apt", "trusted.gpg.d"), { recursive: true });
    writeFileSync(join(directory, "apt", "trusted.gpg.d", "ours.asc"), ours.armoured);
  });

  after(() => {
    for (const name of ["ours", "other"]) {
      const env = { ...process.env, GNUPGHOME: join(directory, name) };
      execFileSync("gpgconf", ["--kill", "all"], { env, stdio: "ignore" });
    }
    rmSync(directory, { recursive: true, force: true });
  });

  it("verifies an InRelease by a key of trusted.gpg.d, armoured as it is", async () => {
    const verdict = await signatures.check({ text: ours.sign(text, "--clearsign") });
    assert.equal(verdict.kind, "verified");
    assert.ok(verdict.signedBy.includes(ours.fingerprint));
  });

  it("verifies a detached signature", async () => {
    const signature = ours.sign(text, "--detach-sign");
    const verdict = await signatures.check({ text: Buffer.from(text), signature });
    assert.equal(verdict.kind, "verified");
  });

  it("calls a changed text contradicted", async () => {
    const signed = ours.sign(text, "--clearsign").toString().replace("stable", "unstable");
    const verdict = await signatures.check({ text: Buffer.from(signed) });
    assert.equal(verdict.kind, "contradicted");
  });

  it("cannot tell without the key, or without a signature", async () => {
    const foreign = await signatures.check({ text: other.sign(text, "--clearsign") });
    assert.equal(foreign.kind, "unverifiable");
    assert.match(foreign.reason, /no key/);
    const bare = await signatures.check({ text: Buffer.from(text) });
    assert.equal(bare.kind, "unverifiable");
  });

  it("uses the keys of Signed-By alone: files, embedded blocks, fingerprints", async () => {
    const signed = other.sign(text, "--clearsign");
    const file = join(directory, "other.gpg");
    writeFileSync(file, other.binary);
    const by = (keyFiles: string[], fingerprints: string[], embeddedKeys: string[] = []) =>
      signatures.check({ text: signed, signedBy: { keyFiles, fingerprints, embeddedKeys } });
    assert.equal((await by([file], [])).kind, "verified");
    assert.equal((await by([], [], [other.armoured])).kind, "verified");
    assert.equal((await by([file], [other.fingerprint])).kind, "verified");
    assert.equal((await by([file], [ours.fingerprint])).kind, "unverifiable");
    // The key that apt trusts otherwise does not count when Signed-By names others.
    const mine = await signatures.check({
      text: ours.sign(text, "--clearsign"),
      signedBy: { keyFiles: [file], fingerprints: [], embeddedKeys: [] },
    });
    assert.equal(mine.kind, "unverifiable");
  });

  it("does without gpgv where sqv is installed", async function () {
    const path = process.env["PATH"];
    const only = join(directory, "bin");
    mkdirSync(only, { recursive: true });
    try {
      const sqv = execFileSync("sh", ["-c", "command -v sqv"]).toString().trim();
      execFileSync("ln", ["-s", sqv, join(only, "sqv")]);
    } catch {
      this.skip();
    }
    process.env["PATH"] = only;
    try {
      const inline = await signatures.check({ text: ours.sign(text, "--clearsign", path) });
      assert.equal(inline.kind, "verified", JSON.stringify(inline));
      const signature = ours.sign(text, "--detach-sign", path);
      const detached = await signatures.check({ text: Buffer.from(text), signature });
      assert.equal(detached.kind, "verified", JSON.stringify(detached));
      const changed = await signatures.check({ text: Buffer.from(`${text}x`), signature });
      assert.notEqual(changed.kind, "verified");
    } finally {
      process.env["PATH"] = path;
    }
  });

  it("says so when neither program is there", async () => {
    const path = process.env["PATH"];
    process.env["PATH"] = join(directory, "nothing");
    try {
      const verdict = await signatures.check({ text: ours.sign(text, "--clearsign", path) });
      assert.deepEqual(verdict, {
        kind: "unverifiable",
        reason: "neither gpgv nor sqv is installed",
      });
    } finally {
      process.env["PATH"] = path;
    }
  });
});

describe("readStatus()", () => {
  const valid = `[GNUPG:] VALIDSIG ${"A".repeat(40)} 2026-01-01 1 0 4 0 22 10 00 ${"B".repeat(40)}\n`;

  it("wants a good signature beside a valid one", () => {
    assert.equal(readStatus(`[GNUPG:] GOODSIG 1 x\n${valid}`).kind, "verified");
    assert.equal(readStatus(`[GNUPG:] EXPKEYSIG 1 x\n${valid}`).kind, "unverifiable");
    assert.equal(readStatus(`[GNUPG:] REVKEYSIG 1 x\n${valid}`).kind, "unverifiable");
  });

  it("lets one bad signature spoil all", () => {
    const output = `[GNUPG:] GOODSIG 1 x\n${valid}[GNUPG:] BADSIG 2 y\n`;
    assert.equal(readStatus(output).kind, "contradicted");
  });

  it("counts a key only for its own good signature, made with a hash that holds", () => {
    const by = (key: string, hash: string) =>
      `[GNUPG:] VALIDSIG ${key} 2026-01-01 1 0 4 0 22 ${hash} 00 ${key}\n`;
    const [a, b] = ["A".repeat(40), "B".repeat(40)];
    const mixed = `[GNUPG:] GOODSIG 1 x\n${by(a, "8")}[GNUPG:] EXPKEYSIG 2 y\n${by(b, "8")}`;
    assert.deepEqual(readStatus(mixed), { kind: "verified", signedBy: [a] });
    assert.equal(readStatus(`[GNUPG:] GOODSIG 1 x\n${by(a, "2")}`).kind, "unverifiable");
    assert.equal(readStatus(`[GNUPG:] GOODSIG 1 x\n${by(a, "10")}`).kind, "verified");
  });

  it("names signing key and primary key", () => {
    const verdict = readStatus(`[GNUPG:] GOODSIG 1 x\n${valid}`);
    assert.equal(verdict.kind, "verified");
    assert.deepEqual(verdict.signedBy, ["A".repeat(40), "B".repeat(40)]);
  });
});

interface Key {
  readonly fingerprint: string;
  readonly armoured: string;
  readonly binary: Buffer;
  sign(text: string, how: string, path?: string): Buffer;
}

function makeKey(directory: string, name: string): Key {
  const home = join(directory, name);
  mkdirSync(home, { mode: 0o700 });
  const gpg = (args: string[], path = process.env["PATH"], input = ""): Buffer =>
    execFileSync("gpg", ["--batch", "--quiet", ...args], {
      env: { PATH: path, GNUPGHOME: home, LC_ALL: "C" },
      input,
      stdio: ["pipe", "pipe", "ignore"],
    });
  const user = `${name} <${name}@example.invalid>`;
  gpg(["--passphrase", "", "--quick-gen-key", user, "ed25519", "sign", "never"]);
  const listing = gpg(["--with-colons", "--list-keys"]).toString();
  const armoured = gpg(["--armor", "--export"]).toString();
  const inFile = join(home, "text");
  return {
    fingerprint: /^fpr:+([0-9A-F]{40}):/m.exec(listing)?.[1] ?? "",
    armoured,
    binary: gpg(["--export"]),
    sign: (text, how, path) => {
      writeFileSync(inFile, text);
      const out = join(home, "signed");
      gpg(["--yes", "--output", out, how, inFile], path);
      return readFileSync(out);
    },
  };
}
