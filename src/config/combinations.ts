/** Values that are right one by one but not together. */
import { limits } from "../base/limits.ts";
import { isLoopback, isWildcard } from "./network-kinds.ts";
import type { Config } from "./options.ts";
import { optionName } from "./problems.ts";
import type { Problem } from "./problems.ts";
import type { Setting } from "./settings.ts";

export interface Combined {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export function checkCombinations(config: Config, settings: readonly Setting[]): Combined {
  const about = (name: string, message: string): Problem => {
    const setting = settings.find((each) => each.row.name === name);
    if (setting === undefined) throw new Error(`no option is called ${name}`);
    const { origin, row, text } = setting;
    return { origin, option: optionName(row), value: text, message };
  };
  return {
    problems: [
      ...bindProblems(config.proxy.bind).map((message) => about("bind", message)),
      ...udpBindProblems(config).map((message) => about("udp_bind", message)),
      ...stateProblems(config).map((message) => about("state_dir", message)),
      ...offerProblems(config).map((message) => about("offer_dirs", message)),
    ],
    warnings: [
      ...allowWarnings(config).map((message) => about("allow", message)),
      ...directoryWarnings(config).map((message) => about("state_dir", message)),
    ],
  };
}

function bindProblems(bind: readonly string[]): string[] {
  if (bind.length === 0) return ["at least one address is needed, such as 127.0.0.1"];
  const messages: string[] = [];
  for (const [index, address] of bind.entries()) {
    if (bind.indexOf(address) !== index) messages.push(`${address} is named twice`);
    const family = address.includes(":");
    const whole = bind.find((other) => isWildcard(other) && other.includes(":") === family);
    if (whole !== undefined && whole !== address)
      messages.push(`${whole} already covers ${address}`);
  }
  return messages;
}

/** A node's answers must come from the address that was asked: one socket of a family can do that. */
function udpBindProblems({ dht: { udpBind } }: Config): string[] {
  const messages = bindProblems(udpBind);
  if (messages.length > 0) return messages;
  const ofFamily6 = udpBind.filter((address) => address.includes(":")).length;
  return Object.entries({ IPv4: udpBind.length - ofFamily6, IPv6: ofFamily6 }).flatMap(
    ([family, count]) => (count > 1 ? [`only one ${family} address is possible`] : []),
  );
}

function stateProblems({ store: { stateDir } }: Config): string[] {
  const socket = `${stateDir}/control.sock`;
  if (new TextEncoder().encode(socket).length <= limits.socketPathBytes) return [];
  return [
    `the control socket in it would have a path of more than ${limits.socketPathBytes} bytes, which the system does not allow; choose a shorter one`,
  ];
}

function offerProblems({ store: { cacheDir, stateDir, offerDirs } }: Config): string[] {
  return offerDirs.flatMap((offered) =>
    Object.entries({ cache_dir: cacheDir, state_dir: stateDir })
      .filter(([, own]) => contains(own, offered) || contains(offered, own))
      .map(([name, own]) => `${offered} and ${name} (${own}) must not contain one another`),
  );
}

function allowWarnings({ proxy: { allow, bind } }: Config): string[] {
  const messages: string[] = [];
  const onlyLoopback = bind.every(isLoopback);
  if (allow.length > 0 && onlyLoopback) {
    messages.push("no other machine can connect, since bind has loopback addresses only");
  }
  if (allow.some(({ prefixLength }) => prefixLength === 0)) {
    messages.push("whoever reaches this port may use this machine as a proxy");
  }
  return messages;
}

function directoryWarnings({ store: { cacheDir, stateDir } }: Config): string[] {
  if (!contains(cacheDir, stateDir)) return [];
  return ["it lies in cache_dir, which may be emptied at any time; the database would go with it"];
}

function contains(directory: string, path: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}
