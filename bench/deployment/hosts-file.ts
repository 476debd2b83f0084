/**
 * The file of hosts: one on each line, as ssh is told it, then perhaps `key=value`. Comments go from #
 * to the end of the line.
 */
import { suggest } from "../../src/config/suggest.ts";
import { ScenarioProblem } from "./fields.ts";

export interface HostLine {
  /** What ssh is given: `user@host`, or a name of ssh_config. */
  readonly target: string;
  /** In the report; default: the host without its user. */
  readonly name: string;
  /** By which the other hosts reach it; default: the same. */
  readonly address: string;
  /** Debian's name of its architecture; undefined: it is asked. */
  readonly arch: string | undefined;
  /** Of the scenario; undefined: where there is room. */
  readonly group: string | undefined;
}

/** Never an option of ssh: what begins with - is no host. */
const target = /^(?:[\w.-]+@)?[\w][\w.:-]*$/;
const values = {
  name: { pattern: /^[\w][\w.-]{0,63}$/, accepted: "letters, digits and . _ -" },
  address: { pattern: /^[\w.:-]+$/, accepted: "an address or a host name" },
  arch: { pattern: /^[a-z0-9][a-z0-9-]*$/, accepted: "an architecture of Debian, such as amd64" },
  group: { pattern: /^[a-z][a-z0-9+.-]*$/, accepted: "a group of the scenario" },
} as const;

type Key = keyof typeof values;

/** Throws a `ScenarioProblem` that names the line. */
export function parseHosts(content: string): readonly HostLine[] {
  const hosts = content.split("\n").flatMap((line, index) => {
    const [first, ...rest] = line
      .replace(/(^|\s)#.*$/, "")
      .trim()
      .split(/\s+/);
    return first === undefined || first === "" ? [] : [hostLine(first, rest, index + 1)];
  });
  if (hosts.length === 0) throw new ScenarioProblem("the file of hosts names none");
  for (const { name } of hosts) {
    if (hosts.filter((each) => each.name === name).length > 1) {
      throw new ScenarioProblem(`two hosts are named ${name}; give them other names by name=…`);
    }
  }
  return hosts;
}

function hostLine(first: string, rest: readonly string[], line: number): HostLine {
  if (!target.test(first) || first.startsWith("-")) {
    throw new ScenarioProblem(`line ${line}: expected user@host or host, got ${first}`);
  }
  const given: Partial<Record<Key, string>> = {};
  for (const word of rest) {
    const [, key = "", value = ""] = /^(\w+)=(.*)$/.exec(word) ?? [];
    if (!isKey(key)) {
      const meant = suggest(key, Object.keys(values));
      const hint = meant === undefined ? "" : `; did you mean ${meant}=?`;
      const known = Object.keys(values).join(", ");
      throw new ScenarioProblem(`line ${line}: ${word} is none of ${known} with =value${hint}`);
    }
    const { pattern, accepted } = values[key];
    if (!pattern.test(value)) {
      throw new ScenarioProblem(`line ${line}: ${key}: expected ${accepted}, got ${value}`);
    }
    given[key] = value;
  }
  const host = first.replace(/^.*@/, "");
  const { name = host, address = host, arch, group } = given;
  return { target: first, name, address, arch, group };
}

function isKey(key: string): key is Key {
  return Object.hasOwn(values, key);
}
