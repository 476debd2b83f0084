/** A self-signed certificate for a loopback https mirror, made with openssl where there is one. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { scratchDirectory } from "./scratch.ts";

const run = promisify(execFile);

export interface Certificate {
  readonly key: string;
  readonly cert: string;
  /** PEM file for apt's Acquire::https::CAInfo and Node's NODE_EXTRA_CA_CERTS. */
  readonly certPath: string;
}

/** undefined: this machine has no openssl. */
export async function makeCertificate(address: string): Promise<Certificate | undefined> {
  const { path } = scratchDirectory("tls");
  const keyPath = join(path, "key.pem");
  const certPath = join(path, "cert.pem");
  try {
    await run("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-days", "2", "-subj", `/CN=${address}`, "-addext", `subjectAltName=IP:${address}`],
      ...["-keyout", keyPath, "-out", certPath],
    ]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return { key: readFileSync(keyPath, "utf8"), cert: readFileSync(certPath, "utf8"), certPath };
}
