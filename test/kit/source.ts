/** A source package in format 3.0 (native): a .dsc and a .tar.gz. */
import { gzipSync } from "node:zlib";

import { md5, seededBytes, sha256 } from "./bytes.ts";
import { tar } from "./deb.ts";

export interface SourceFile {
  readonly path: string;
  readonly bytes: Buffer;
  readonly sha256: string;
}

export function makeSource(options: {
  readonly name: string;
  readonly version: string;
  readonly directory: string;
}): readonly SourceFile[] {
  const { name, version, directory } = options;
  const top = `${name}-${version}/`;
  const content = seededBytes(`source ${name} ${version}`, 5_000);
  const archive = gzipSync(tar([{ name: top }, { name: `${top}data`, content }]), { level: 1 });
  const archiveName = `${name}_${version}.tar.gz`;
  const dsc = Buffer.from(
    [
      "Format: 3.0 (native)",
      `Source: ${name}`,
      `Binary: ${name}`,
      "Architecture: any",
      `Version: ${version}`,
      "Maintainer: Test Kit <kit@example.invalid>",
      "Checksums-Sha256:",
      ` ${sha256(archive)} ${archive.length} ${archiveName}`,
      "Files:",
      ` ${md5(archive)} ${archive.length} ${archiveName}`,
      "",
    ].join("\n"),
  );
  return [
    { path: `${directory}${name}_${version}.dsc`, bytes: dsc, sha256: sha256(dsc) },
    { path: directory + archiveName, bytes: archive, sha256: sha256(archive) },
  ];
}
