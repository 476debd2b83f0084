/** The command table: argument parser, help and manual are made from it. */

export type CommandName =
  | "daemon"
  | "status"
  | "why"
  | "doctor"
  | "enable"
  | "disable"
  | "get"
  | "share"
  | "lookup"
  | "dht status"
  | "dht walk"
  | "cache list"
  | "cache stats"
  | "cache verify"
  | "cache clean"
  | "cache import"
  | "config check"
  | "config show";

export interface Command {
  readonly name: CommandName;
  /** Operands as the synopsis shows them, and how many there may be. */
  readonly operands: { readonly synopsis: string; readonly min: number; readonly max: number };
  readonly flags: readonly CommandFlag[];
  /** One line, without a full stop. */
  readonly summary: string;
  /** What help and manual add: sentences. */
  readonly text: string;
}

/** A flag of single commands. */
export interface CommandFlag {
  readonly name: "json" | "all" | "hops" | "dht-only" | "sha256" | "output" | "seed-until";
  readonly short?: string;
  /** What stands for its value in help; undefined: it takes none. */
  readonly value?: string;
  readonly help: string;
}

const none = { synopsis: "", min: 0, max: 0 };
const json: CommandFlag = { name: "json", help: "print JSON for programs" };
const seedUntil: CommandFlag = {
  name: "seed-until",
  value: "idle|RATIO|TIME",
  help: "stay and share: until nobody has asked for 30 s (idle), as often as RATIO (2x), or for TIME (10m)",
};
const jsonLines: CommandFlag = { name: "json", help: "print one JSON object per line" };

export const commands: readonly Command[] = [
  {
    name: "daemon",
    operands: none,
    flags: [
      { name: "dht-only", help: "serve the distributed hash table alone: no proxy, no store" },
    ],
    summary: "run the daemon in the foreground",
    text: "It logs to standard output and ends on SIGTERM or SIGINT. With --dht-only it is a node that others can join by (dht.bootstrap), and needs no more than the UDP port and the state directory.",
  },
  {
    name: "status",
    operands: none,
    flags: [json],
    summary: "show what the daemon does and has done",
    text: "With --json all counters are shown as well.",
  },
  {
    name: "why",
    operands: { synopsis: "URL", min: 1, max: 1 },
    flags: [json],
    summary: "explain what a URL must contain, who says so, and whether it is held",
    text: "URL is the mirror's, or the one that apt asks this daemon for.",
  },
  {
    name: "doctor",
    operands: none,
    flags: [json],
    summary: "tell whether apt uses this daemon, what stands in the way, and what to do",
    text: "Looks at apt's configuration, at what apt is told for one of its sources and how long that takes, at the daemon, its store and its network. Nothing is changed. The exit status is 1 if there is something to mend.",
  },
  {
    name: "enable",
    operands: none,
    flags: [],
    summary: "let apt use the daemon while it is alive",
    text: "Undoes disable, and is the state after installation. Only root may do this.",
  },
  {
    name: "disable",
    operands: none,
    flags: [],
    summary: "lead apt past the daemon",
    text: "apt goes to the mirrors by itself from its next run on, also after a restart or an upgrade. The daemon runs on, and goes on sharing with other machines. Sources that name the daemon themselves are not affected. Only root may do this.",
  },
  {
    name: "get",
    operands: { synopsis: "URL|sha256:HEX", min: 1, max: 1 },
    flags: [
      { name: "sha256", value: "HEX", help: "what the file must be, where no index tells" },
      {
        name: "output",
        short: "o",
        value: "FILE",
        help: "where it goes; - is standard output, in order while it arrives",
      },
      seedUntil,
    ],
    summary: "fetch any file with a known digest from peers, and from its URL",
    text: "URL may name a file that an index lists, or any file if --sha256 is given; sha256:HEX comes from peers alone. Without --output the file gets the last part of its name, in this directory. An interrupted download goes on where it ended. What is fetched is shared with others as long as the store keeps it, unless --seed-until says for how long.",
  },
  {
    name: "share",
    operands: { synopsis: "FILE…", min: 1, max: Infinity },
    flags: [seedUntil],
    summary: "offer files to others, and print how they get them",
    text: "The files are read where they are, by the daemon, whose user needs the permission to; they must not change. Without --seed-until they are offered as long as they are there. apt-p2p cache clean HEX withdraws one.",
  },
  {
    name: "lookup",
    operands: { synopsis: "SHA256|URL", min: 1, max: 1 },
    flags: [
      { name: "hops", help: "show every node that was asked, and what it answered" },
      { name: "json", help: "print one JSON object for programs, when all is known" },
    ],
    summary: "look up in the distributed hash table who has a file",
    text: "Peers are shown as they are found, with the time that it took. The exit status is 1 if there are none. Nothing is fetched from them.",
  },
  {
    name: "dht status",
    operands: none,
    flags: [json],
    summary: "show this node's place in the distributed hash table",
    text: "For each address family: neighbours, what is held for others, what is published and why not, how other nodes see this one.",
  },
  {
    name: "dht walk",
    operands: none,
    flags: [json],
    summary: "count the nodes of the distributed hash table",
    text: "Asks every node that can be found for its neighbours, at most 50 queries a second, and tells how many there are, how many answer, and which versions they run. A large network takes minutes.",
  },
  {
    name: "cache list",
    operands: none,
    flags: [jsonLines],
    summary: "list the stored files",
    text: "In no particular order: size, last use, digest, newest name.",
  },
  {
    name: "cache stats",
    operands: none,
    flags: [json],
    summary: "show how full the store is",
    text: "Offered files lie in other directories and do not count towards the quota.",
  },
  {
    name: "cache verify",
    operands: none,
    flags: [json],
    summary: "hash every stored file again and drop what is damaged",
    text: "The exit status is 1 if there was damage. Dropped files are fetched again when somebody asks for them.",
  },
  {
    name: "cache clean",
    operands: { synopsis: "[NAME]", min: 0, max: 1 },
    flags: [{ name: "all", help: "remove every stored file" }, json],
    summary: "remove stored files that no index lists any more",
    text: "NAME removes the files of this digest or with a name that fits this pattern (* and ?) instead. Files in use stay, and so do offered ones.",
  },
  {
    name: "cache import",
    operands: { synopsis: "PATH…", min: 1, max: Infinity },
    flags: [json],
    summary: "take files and whole directories into the store",
    text: "The daemon reads the paths, so its user needs the permission to. The originals stay where they are. The exit status is 1 if any of them could not be taken.",
  },
  {
    name: "config check",
    operands: none,
    flags: [],
    summary: "check the configuration and name all that is wrong",
    text: "Files, environment and options of the command line are checked together, as the daemon would read them.",
  },
  {
    name: "config show",
    operands: none,
    flags: [],
    summary: "show every setting and where it comes from",
    text: "The output is a valid configuration file.",
  },
];

/** Options of every command, beside those of the option table. */
export const commonFlags = [
  {
    name: "config",
    short: undefined,
    value: "FILE",
    help: "read this file instead of the system's",
  },
  { name: "help", short: "h", value: undefined, help: "explain the program or the command" },
  { name: "version", short: "V", value: undefined, help: "print the version" },
] as const;

/** `apt-p2p cache clean [--all] [--json] [NAME]` */
export function synopsis(command: Command): string {
  const flags = command.flags.map(({ name, value }) =>
    value === undefined ? `[--${name}]` : `[--${name}=${value}]`,
  );
  return ["apt-p2p", command.name, ...flags, command.operands.synopsis].join(" ").trimEnd();
}
