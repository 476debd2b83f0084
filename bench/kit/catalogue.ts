/**
 * Text of Debian main's kind and size: 65,000 binary packages in some 50 MB, and their long
 * descriptions. Made of a seed, so that every machine measures the same.
 */
import { createHash } from "node:crypto";

export const mainPackageCount = 65_000;

const words = (
  "access adapter analysis api archive array audio backend base binary bridge browser buffer build " +
  "cache calendar client cloud codec color common compiler config console control converter core " +
  "crypto daemon data debug decoder desktop device dialog display document driver dynamic editor " +
  "effects embedded encoder engine event export extra fast file filter font format framework free " +
  "game generic geometry graph graphics handler hardware image import index input interface java " +
  "kernel keyboard language layer library light linear logger mail manager matrix media memory " +
  "messaging metrics mobile model module monitor network numeric object open package parser perl " +
  "photo platform player plugin portable print process profile protocol proxy python query queue " +
  "reader record regular remote render report resource ruby runtime scalable scanner schema science " +
  "search secure server session shared shell simple socket sound source spatial static statistics " +
  "storage stream string support symbol sync system table template terminal text theme thread time " +
  "toolkit tracker transport tree type unicode unit user utility validator vector version video view " +
  "virtual visual voice web widget window wrapper"
).split(" ");

const sections = ["libs", "devel", "python", "perl", "utils", "doc", "science", "net", "libdevel"];
const tags = ["role::program", "role::shared-lib", "implemented-in::c", "interface::commandline"];

/** A small fast generator (mulberry32); the seed alone decides. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function pick(from: readonly string[], next: () => number): string {
  return from[Math.floor(next() * from.length)] ?? "";
}

function phrase(count: number, next: () => number): string {
  return Array.from({ length: count }, () => pick(words, next)).join(" ");
}

function hex(algorithm: string, text: string): string {
  return createHash(algorithm).update(text).digest("hex");
}

interface Identity {
  readonly name: string;
  readonly version: string;
  readonly summary: string;
}

function identity(index: number, next: () => number): Identity {
  const stem = `${pick(words, next)}-${pick(words, next)}${String(index % 1000)}`;
  const name = next() < 0.45 ? `lib${stem}-${pick(words, next)}` : `${stem}${String(index)}`;
  const part = (limit: number): string => String(Math.floor(next() * limit));
  const epoch = next() < 0.06 ? "1:" : "";
  const version = `${epoch}${part(12)}.${part(40)}.${part(20)}-${part(9)}${next() < 0.3 ? "+b1" : ""}`;
  return { name: `${name}.${String(index)}`, version, summary: phrase(6, next) };
}

/** Text of a Packages index. */
export function mainPackages(count: number = mainPackageCount): string {
  const next = random(20080601);
  const identities = Array.from({ length: count }, (_, index) => identity(index, next));
  return identities.map((one) => paragraph(one, identities, next)).join("\n");
}

function paragraph(one: Identity, all: readonly Identity[], next: () => number): string {
  const { name, version, summary } = one;
  const relation = (): string => {
    const other = all[Math.floor(next() ** 5 * all.length)] ?? one;
    return next() < 0.7 ? `${other.name} (>= ${other.version})` : other.name;
  };
  const relations = Array.from({ length: 1 + Math.floor(next() * 5) }, relation).join(", ");
  const architecture = next() < 0.45 ? "all" : "amd64";
  const maintainer = `${phrase(2, next)} maintainers <${pick(words, next)}@lists.example.invalid>`;
  const folder = name.startsWith("lib") ? name.slice(0, 4) : name.charAt(0);
  const file = `${name}_${version.replace(/^\d+:/, "")}_${architecture}.deb`;
  const lines = [
    `Package: ${name}`,
    ...(next() < 0.6 ? [`Source: ${pick(words, next)}-${pick(words, next)}`] : []),
    `Version: ${version}`,
    `Installed-Size: ${String(Math.floor(next() * 40_000))}`,
    `Maintainer: ${maintainer}`,
    `Architecture: ${architecture}`,
    `Depends: ${relations}`,
    ...(next() < 0.2 ? [`Suggests: ${relation()}`] : []),
    `Description: ${summary}`,
    ...(next() < 0.4 ? ["Multi-Arch: foreign"] : []),
    `Homepage: https://${pick(words, next)}.example.invalid/${name}`,
    `Description-md5: ${hex("md5", summary)}`,
    `Tag: ${pick(tags, next)}, ${pick(tags, next)},\n works-with::${pick(words, next)}`,
    `Section: ${pick(sections, next)}`,
    "Priority: optional",
    `Filename: pool/main/${folder}/${name}/${file}`,
    `Size: ${String(2_000 + Math.floor(next() ** 6 * 5e7))}`,
    `MD5sum: ${hex("md5", file)}`,
    `SHA256: ${hex("sha256", file)}`,
    "",
  ];
  return lines.join("\n");
}

/** Text of a Translation-en index. */
export function mainTranslations(count: number = mainPackageCount): string {
  const next = random(20080602);
  return Array.from({ length: count }, (_, index) => {
    const { name, summary } = identity(index, next);
    const body = Array.from({ length: 5 }, () => ` ${phrase(9, next)}`).join("\n");
    return `Package: ${name}\nDescription-md5: ${hex("md5", summary)}\nDescription-en: ${summary}\n${body}\n`;
  }).join("\n");
}
