/** The text of Packages, Sources, Translation and Contents (Debian policy, "DebianRepository/Format"). */
import { md5 } from "./bytes.ts";
import type { PublishedPackage } from "./archive.ts";

export function binaryStanza(item: PublishedPackage): string {
  const control = item.control.replace(/Description: .*\n/, "");
  return (
    control +
    [
      `Filename: ${item.path.includes("/") ? item.path : `./${item.path}`}`,
      `Size: ${item.sizeBytes}`,
      `SHA256: ${item.sha256}`,
      `Description: synthetic package ${item.name}`,
      `Description-md5: ${descriptionMd5(item)}`,
      "",
    ].join("\n")
  );
}

export function translationStanza(item: PublishedPackage, language: string): string {
  const long = language === "en" ? longText(item) : `${language}: ${longText(item)}`;
  return [
    `Package: ${item.name}`,
    `Description-md5: ${descriptionMd5(item)}`,
    `Description-${language}: synthetic package ${item.name}`,
    ` ${long}`,
    "",
  ].join("\n");
}

export function sourceStanza(item: PublishedPackage): string {
  const directory = item.path.includes("/") ? item.path.slice(0, item.path.lastIndexOf("/")) : ".";
  const files = item.source.map((each) => ({ ...each, name: each.path.split("/").at(-1) ?? "" }));
  return [
    `Package: ${item.name}`,
    `Binary: ${item.name}`,
    `Version: ${item.version}`,
    "Maintainer: Test Kit <kit@example.invalid>",
    `Architecture: ${item.architecture}`,
    "Format: 3.0 (native)",
    "Files:",
    ...files.map((each) => ` ${md5(each.bytes)} ${each.bytes.length} ${each.name}`),
    "Checksums-Sha256:",
    ...files.map((each) => ` ${each.sha256} ${each.bytes.length} ${each.name}`),
    `Directory: ${directory}`,
    "",
  ].join("\n");
}

export function contentsText(items: readonly PublishedPackage[]): string {
  return items.map((item) => `${item.contains.padEnd(60)} misc/${item.name}\n`).join("");
}

function longText(item: PublishedPackage): string {
  return `Long text for ${item.name}.`;
}

/** Of the whole untranslated description: synopsis, newline, long text, newline. */
function descriptionMd5(item: PublishedPackage): string {
  return md5(`synthetic package ${item.name}\n ${longText(item)}\n`);
}
