/** apt's configuration as `apt-config dump` prints it, and the hosts of its sources. */

/** By name in lower case, as apt compares them; items of lists (`…::`) are left out. */
export type AptConfig = ReadonlyMap<string, string>;

/** Of `Name "value";` lines; what is no such line is passed over. */
export function parseAptDump(text: string): AptConfig {
  const config = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, name, value] = /^(\S+) "(.*)";$/.exec(line) ?? [];
    if (name === undefined || value === undefined || name.endsWith("::")) continue;
    config.set(name.toLowerCase(), value);
  }
  return config;
}

const hostPrefix = "acquire::http::proxy::";

/** Proxies that the administrator has set for single hosts. */
export function hostProxies(config: AptConfig): readonly (readonly [string, string])[] {
  return [...config].flatMap(([name, value]) =>
    name.startsWith(hostPrefix) && value !== "" ? [[name.slice(hostPrefix.length), value]] : [],
  );
}

export interface SourceHost {
  readonly scheme: "http" | "https";
  /** With its port, as written. */
  readonly authority: string;
}

/**
 * The hosts that a sources file (of either format) names, each once. Comments and stanzas that are
 * not enabled do not count. Good enough to tell people of; the daemon reads sources more strictly.
 */
export function sourceHosts(text: string): readonly SourceHost[] {
  const found = new Map<string, SourceHost>();
  for (const stanza of text.split(/\n[ \t]*\n/)) {
    const lines = stanza.split("\n").filter((line) => !/^\s*#/.test(line));
    if (lines.some((line) => /^Enabled:\s*(?:no|false|0|off|without|disable)\b/i.test(line)))
      continue;
    for (const [, scheme, authority = ""] of lines
      .join("\n")
      .matchAll(/(?<![\w+])(https?):\/\/(?:[^\s/@]*@)?([^\s/]+)/gi)) {
      const host: SourceHost = {
        scheme: scheme?.toLowerCase() === "https" ? "https" : "http",
        authority: authority.toLowerCase(),
      };
      found.set(`${host.scheme} ${host.authority}`, host);
    }
  }
  return [...found.values()];
}
