/** Documents that must stay true: links, script names, counters, the change log, versions. */
import { posix } from "node:path";
import { below } from "../tree.ts";
import type { Tree } from "../tree.ts";

interface Manifest {
  readonly version?: string;
  readonly scripts?: Readonly<Record<string, string>>;
}

/** Relative links of Markdown files to files or headings that do not exist. */
export function brokenLinks(files: Tree): string[] {
  const exists = (path: string): boolean =>
    files.has(path) || below(files, `${path.replace(/\/$/, "")}/`).length > 0;
  return below(files, "", ".md").flatMap(([path, text]) =>
    [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = ""]) => {
      if (/^[a-z]+:/i.test(link)) return [];
      const [file = "", heading] = link.split("#");
      const target = file === "" ? path : posix.join(posix.dirname(path), file);
      if (!exists(target)) return [`${path}: ${link}: no such file`];
      if (heading === undefined || !target.endsWith(".md")) return [];
      const known = headings(files.get(target) ?? "");
      return known.includes(heading) ? [] : [`${path}: ${link}: no such heading`];
    }),
  );
}

function headings(text: string): string[] {
  return [...withoutCode(text).matchAll(/^#{1,6} +(.+?) *$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function withoutCode(text: string): string {
  return text
    .replace(/^```[\s\S]*?^```/gm, "")
    .replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()]/g, " "));
}

/** npm scripts that documents name and package.json lacks. */
export function missingScripts(files: Tree): string[] {
  const { scripts = {} } = manifest(files);
  return below(files, "", ".md").flatMap(([path, text]) =>
    [...text.matchAll(/\bnpm (?:run (?:-\S+ +)*([\w:-]+)|(start|test)\b)/g)].flatMap((match) => {
      const name = match[1] ?? match[2] ?? "";
      return Object.hasOwn(scripts, name) ? [] : [`${path}: npm run ${name}`];
    }),
  );
}

/** Names in backticks (`engine.failed`), in paragraphs about counters, that no source file moves. */
export function unknownCounters(files: Tree): string[] {
  const sources = below(files, "src/", ".ts");
  const rooms = new Set(sources.map(([path]) => path.split("/")[1] ?? ""));
  // `config.proxy.port` is an option.
  rooms.delete("config");
  const known = counterNames(sources.map(([, text]) => text));
  return below(files, "", ".md").flatMap(([path, text]) => {
    const paragraphs = text.split(/\n\s*\n/).filter((paragraph) => /counter/i.test(paragraph));
    return [...paragraphs.join("\n").matchAll(/`([a-z]+)((?:\.\w+)+)`/g)].flatMap(
      ([, room = "", rest = ""]) => {
        if (!rooms.has(room) || /\.(ts|js|json|md)$/.test(rest)) return [];
        return known(room + rest) ? [] : [`${path}: ${room}${rest}`];
      },
    );
  });
}

/** Whether some text moves a counter of this name, also by a template (`proxy.bytes.${origin}`). */
function counterNames(texts: readonly string[]): (name: string) => boolean {
  const patterns = texts.flatMap((text) =>
    [...text.matchAll(/(["`])([a-z]+\.[^"`\n]+)\1/g)].map(([, , name = ""]) => {
      const parts = name.split(/\$\{[^}]*\}/).map((part) => part.replace(/[^\w]/g, "\\$&"));
      return parts.join("[\\w.-]+");
    }),
  );
  const whole = new RegExp(`^(?:${patterns.join("|")})$`);
  return (name) => whole.test(name);
}

/**
 * The change log: `# Changelog`, then `## VERSION (YYYY-MM-DD)`, newest first, the first of them
 * perhaps `(unreleased)`; in each lists, perhaps below `### …`. The first is package.json's version.
 */
export function wrongChangelog(files: Tree): string[] {
  const text = files.get("CHANGELOG.md");
  if (text === undefined) return [];
  const problems: string[] = [];
  if (!text.startsWith("# Changelog\n")) problems.push('it does not begin with "# Changelog"');
  const titles = [...text.matchAll(/^## (.+)$/gm)].map(([, title = ""]) => title);
  const dates: string[] = [];
  for (const [index, title] of titles.entries()) {
    const [, version = "", date = ""] =
      /^(\d+\.\d+\.\d+) \((unreleased|\d{4}-\d{2}-\d{2})\)$/.exec(title) ?? [];
    if (date === "unreleased" && index > 0) problems.push("only the first may be unreleased");
    if (date !== "unreleased") dates.push(date);
    if (date !== "unreleased" && Number.isNaN(Date.parse(date))) {
      problems.push(`"## ${title}" is none of "1.2.3 (2026-01-31)" and "1.2.3 (unreleased)"`);
    } else if (index === 0 && version !== manifest(files).version) {
      problems.push(`${version} is not package.json's version`);
    }
  }
  if (dates.some((date, index) => date < (dates[index + 1] ?? ""))) {
    problems.push("the newest release is not the first");
  }
  const parts = text.split(/^## .+$/m).slice(1);
  if (parts.length === 0 || parts.some((part) => !/^- \S/m.test(part))) {
    problems.push("a release without a list of changes");
  }
  return problems.map((problem) => `CHANGELOG.md: ${problem}`);
}

/** The program's own version, where it is not package.json's. */
export function wrongVersion(files: Tree): string[] {
  const { version } = manifest(files);
  const [, own] =
    /export const version = "([^"]*)"/.exec(files.get("src/base/version.ts") ?? "") ?? [];
  return own === version ? [] : [`src/base/version.ts says ${own ?? "nothing"}`];
}

function manifest(files: Tree): Manifest {
  return JSON.parse(files.get("package.json") ?? "{}") as Manifest;
}
