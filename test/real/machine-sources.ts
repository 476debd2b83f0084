/**
 * What archives this machine's apt is configured for, read at run time: one-line sources (sources.list(5))
 * and deb822 sources. Nothing of it is ever written to a file that is kept.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { get as getHttp, type IncomingMessage } from "node:http";
import { get as getHttps } from "node:https";
import { join } from "node:path";

export interface MachineSource {
  /** With a slash at its end. */
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Key files (absolute paths) or embedded key text; undefined: apt's trusted keys. */
  readonly signedBy: string | undefined;
}

/** Binary-package sources over http and https, in the order in which apt reads them. */
export function machineSources(): readonly MachineSource[] {
  const { list, parts } = places();
  const files = existsSync(parts) ? readdirSync(parts).sort() : [];
  const texts = [list, ...files.map((name) => join(parts, name))]
    .filter((path) => /\.(list|sources)$/.test(path) && existsSync(path))
    .map((path) => ({ path, text: readFileSync(path, "utf8") }));
  return texts
    .flatMap(({ path, text }) => (path.endsWith(".sources") ? deb822(text) : oneLine(text)))
    .filter(({ uri }) => /^https?:\/\//.test(uri));
}

/** Directory of the keys that apt trusts for all sources. */
export function trustedParts(): string {
  return aptConfig("Dir::Etc::trustedparts/d");
}

function places(): { readonly list: string; readonly parts: string } {
  return {
    list: aptConfig("Dir::Etc::sourcelist/f"),
    parts: aptConfig("Dir::Etc::sourceparts/d"),
  };
}

function aptConfig(name: string): string {
  const text = execFileSync("apt-config", ["shell", "VALUE", name], { encoding: "utf8" });
  return /^VALUE='(.*)'$/m.exec(text)?.[1] ?? "";
}

function oneLine(text: string): readonly MachineSource[] {
  return text.split("\n").flatMap((line) => {
    const parts = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (parts === null) return [];
    const [, options = "", uri = "", suite = "", components = ""] = parts;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1];
    return [source({ uri, suite, components, signedBy })];
  });
}

function deb822(text: string): readonly MachineSource[] {
  const withoutComments = text.replace(/^#.*\n?/gm, "");
  return withoutComments.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = fieldsOf(stanza);
    const words = (name: string): readonly string[] =>
      (fields.get(name) ?? "").split(/\s+/).filter((word) => word !== "");
    if (!words("types").includes("deb") || fields.get("enabled")?.trim() === "no") return [];
    return words("uris").flatMap((uri) =>
      words("suites").map((suite) =>
        source({
          uri,
          suite,
          components: fields.get("components") ?? "",
          signedBy: fields.get("signed-by")?.trim(),
        }),
      ),
    );
  });
}

function fieldsOf(stanza: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  let current = "";
  for (const line of stanza.split("\n")) {
    const start = /^([A-Za-z0-9-]+):(.*)$/.exec(line);
    if (start === null) fields.set(current, `${fields.get(current) ?? ""}\n${line}`);
    else {
      current = (start[1] ?? "").toLowerCase();
      fields.set(current, start[2] ?? "");
    }
  }
  return fields;
}

function source(found: {
  readonly uri: string;
  readonly suite: string;
  readonly components: string;
  readonly signedBy: string | undefined;
}): MachineSource {
  const { uri, suite, signedBy } = found;
  const components = found.components.split(/\s+/).filter((word) => word !== "");
  return { uri: uri.endsWith("/") ? uri : `${uri}/`, suite, components, signedBy };
}

/** True if the source can be reached and its Release says that it is Debian's. */
export async function isDebian({ uri, suite }: MachineSource): Promise<boolean> {
  const text = await fetchText(`${uri}dists/${suite}/InRelease`, 3).catch(() => "");
  return /^Origin: Debian$/m.test(text);
}

function fetchText(url: string, redirects: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const take = (answer: IncomingMessage): void => {
      const { statusCode = 0, headers } = answer;
      if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
        answer.resume();
        if (redirects === 0) reject(new Error("too many redirects"));
        else resolve(fetchText(new URL(headers.location, url).href, redirects - 1));
        return;
      }
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => (text += part));
      answer.once("error", reject);
      answer.once("end", () => {
        if (statusCode === 200) resolve(text);
        else reject(new Error(`status ${statusCode}`));
      });
    };
    const options = { timeout: 10_000, agent: false } as const;
    const asked = url.startsWith("https:")
      ? getHttps(url, options, take)
      : getHttp(url, options, take);
    asked.once("timeout", () => asked.destroy(new Error("no answer in 10 s")));
    asked.once("error", reject);
  });
}
