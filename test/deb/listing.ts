/** All files of a machine, so that what a package leaves behind can be told. */
import type { Machine } from "./machine.ts";
import { probePrefix, sharedPrefix } from "./mirror.ts";

/** What there is of a machine at some moment. */
export interface Inventory {
  readonly files: Listing;
  /** Names of the installed packages. */
  readonly packages: readonly string[];
}

/** Path → kind, mode, owner, target; of files in /etc the digest as well. */
type Listing = ReadonlyMap<string, string>;

/** Where apt, dpkg and systemd keep what they have done; and what the checks install. */
const ignored = [
  ...["/srv", "/var/lib/apt", "/var/cache/apt", "/var/lib/dpkg", "/var/log", "/var/cache/debconf"],
  // systemd's own: when timers ran, the seed, the catalogue of messages.
  ...["/var/lib/systemd/timers", "/var/lib/systemd/random-seed", "/var/lib/systemd/catalog"],
  ...["/var/lib/systemd/timesync", "/var/lib/systemd/linger", "/var/lib/private/systemd"],
  ...["/var/cache/ldconfig", "/etc/ld.so.cache", "/etc/.updated", "/var/.updated"],
];

/** Names of the packages that checks install begin so. */
const ofChecks = [probePrefix, sharedPrefix];

/** The user stays, as Debian's policy wants: whatever else it owns keeps its name. */
const ofUsers = /^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^\/etc\/\.pwd\.lock$/;

export async function inventory(machine: Machine): Promise<Inventory> {
  const packages = await machine.ok("dpkg-query -W -f '${Package}\\n'");
  return { files: await listing(machine), packages: packages.trim().split("\n") };
}

/** Packages of `after` that came since, apart from those of the checks. */
export function newcomers(before: Inventory, after: Inventory): readonly string[] {
  return after.packages.filter(
    (name) => !before.packages.includes(name) && !ofChecks.some((each) => name.startsWith(each)),
  );
}

async function listing(machine: Machine): Promise<Listing> {
  const facts = await machine.ok(`find / -xdev -printf '%p\\t%y %m %u:%g %l\\n'`);
  const digests = await machine.ok("find /etc -xdev -type f -exec sha256sum {} +");
  const found = new Map<string, string>();
  for (const line of facts.split("\n")) {
    const [path = "", rest = ""] = line.split("\t");
    if (path !== "") found.set(path, rest);
  }
  for (const line of digests.split("\n")) {
    const [digest = "", path = ""] = line.split(/ [ *]/);
    if (path !== "") found.set(path, `${found.get(path) ?? ""} ${digest}`);
  }
  return found;
}

/** What differs, one line each: `+ path`, `- path`, `~ path: before → after`. */
export function differences(
  { files: before }: Inventory,
  { files: after }: Inventory,
): readonly string[] {
  const lines: string[] = [];
  for (const [path, facts] of after) {
    const was = before.get(path);
    if (isIgnored(path) || was === facts) continue;
    lines.push(was === undefined ? `+ ${path}` : `~ ${path}: ${was} → ${facts}`);
  }
  for (const path of before.keys()) {
    if (!after.has(path) && !isIgnored(path)) lines.push(`- ${path}`);
  }
  return lines.sort();
}

function isIgnored(path: string): boolean {
  return (
    ignored.some((each) => path === each || path.startsWith(`${each}/`)) ||
    ofChecks.some((each) => path.startsWith(`/usr/share/${each}`)) ||
    ofUsers.test(path) ||
    // One directory for each boot and each service with PrivateTmp.
    path.startsWith("/var/tmp/systemd-private-")
  );
}
