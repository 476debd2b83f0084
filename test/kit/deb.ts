/**
 * Binary packages without dpkg-deb: the deb(5) container is an `ar` archive of `debian-binary`,
 * `control.tar` and `data.tar`; both tars may be uncompressed. A thousand take well under a second.
 */
import { seededBytes } from "./bytes.ts";

export interface DebOptions {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Wanted size of the whole file; reached within 512 bytes from below, unless below 3 KiB. */
  readonly sizeBytes: number;
  readonly seed: string;
}

export interface Deb {
  readonly bytes: Buffer;
  /** The control paragraph as it stands in the package, ending in a newline. */
  readonly control: string;
  /** Absolute path, without the leading slash, of the one file inside. */
  readonly contains: string;
}

const BLOCK = 512;
/** Magic, three member headers, `2.0\n`. */
const AR_OVERHEAD = 8 + 3 * 60 + 4;

export function makeDeb(options: DebOptions): Deb {
  const control = [
    `Package: ${options.name}`,
    `Version: ${options.version}`,
    `Architecture: ${options.architecture}`,
    "Maintainer: Test Kit <kit@example.invalid>",
    "Section: misc",
    "Priority: optional",
    `Description: synthetic package ${options.name}`,
    "",
  ].join("\n");
  const controlTar = tar([{ name: "./" }, { name: "./control", content: Buffer.from(control) }]);
  const contains = `usr/share/${options.name}/data`;
  const directories = ["./", "./usr/", "./usr/share/", `./usr/share/${options.name}/`];
  const tarOverhead = BLOCK * (directories.length + 1 + 2);
  const room = options.sizeBytes - AR_OVERHEAD - controlTar.length - tarOverhead;
  const payload = seededBytes(options.seed, Math.max(0, Math.floor(room / BLOCK) * BLOCK));
  const dataTar = tar([
    ...directories.map((name) => ({ name })),
    { name: `./${contains}`, content: payload },
  ]);
  return { bytes: ar(controlTar, dataTar), control, contains };
}

function ar(controlTar: Buffer, dataTar: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from("!<arch>\n"),
    arHeader("debian-binary", 4),
    Buffer.from("2.0\n"),
    arHeader("control.tar", controlTar.length),
    controlTar,
    arHeader("data.tar", dataTar.length),
    dataTar,
  ]);
}

/** Members here have even sizes, so that no padding is needed. */
function arHeader(name: string, sizeBytes: number): Buffer {
  const fields = [
    name.padEnd(16),
    "0".padEnd(12),
    "0".padEnd(6),
    "0".padEnd(6),
    "100644".padEnd(8),
    String(sizeBytes).padEnd(10),
    "`\n",
  ];
  return Buffer.from(fields.join(""));
}

/** A ustar archive; a name that ends in a slash is a directory. */
export function tar(entries: readonly { name: string; content?: Buffer }[]): Buffer {
  const parts: Buffer[] = [];
  for (const { name, content } of entries) {
    parts.push(tarHeader(name, content?.length ?? 0, content === undefined));
    if (content !== undefined) {
      parts.push(content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK));
    }
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

function tarHeader(name: string, sizeBytes: number, directory: boolean): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, width: number): string =>
    value.toString(8).padStart(width - 1, "0") + "\0";
  header.write(name, 0, 100, "utf8");
  header.write(octal(directory ? 0o755 : 0o644, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(sizeBytes, 12), 124);
  header.write(octal(0, 12), 136);
  header.write("        ", 148);
  header.write(directory ? "5" : "0", 156);
  header.write("ustar\0" + "00", 257);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(sum.toString(8).padStart(6, "0") + "\0 ", 148);
  return header;
}
