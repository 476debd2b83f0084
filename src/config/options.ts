/**
 * The option table. Everything that is known about an option stands here once; the parser, the
 * `Config` type, `--help`, the sample file and apt-p2p.conf(5) are made from it. An option that
 * nothing reads is a defect, and a test looks for it.
 *
 * Defaults are texts in the file's syntax and go through the same parser as everybody else's.
 */
import { boolean, duration, hours, integer, list, oneOf, orWord, path, size } from "./kinds.ts";
import type { Kind, UnitSuffix } from "./kinds.ts";
import { address, host, hostAndPort, hostPattern, network, networkName } from "./network-kinds.ts";

/** What defaults depend on. */
export interface DefaultsContext {
  readonly isRoot: boolean;
  /** Undefined: the user has none. */
  readonly homeDirectory?: string | undefined;
  /** $XDG_CACHE_HOME and $XDG_STATE_HOME, as they are. */
  readonly xdgCacheHome?: string | undefined;
  readonly xdgStateHome?: string | undefined;
}

export interface Option<V = unknown, S extends UnitSuffix = UnitSuffix> {
  readonly kind: Kind<V, S>;
  readonly default: Default;
  /** One line, without a full stop. */
  readonly help: string;
  /** What the manual adds: sentences. */
  readonly text: string;
  /** Whether SIGHUP gives a new value to the running daemon; the others need a restart. */
  readonly reloadable?: true;
}

export type Default =
  | string
  | {
      /** Undefined: there is none for this user. */
      readonly of: (context: DefaultsContext) => string | undefined;
      /** For root, in the sample file and the manual. */
      readonly shown: string;
      /** How the manual explains the others. */
      readonly explained: string;
    };

/** Keeps the value's type, which `satisfies` alone would widen. */
function option<V, S extends UnitSuffix>(given: Option<V, S>): Option<V, S> {
  return given;
}

/** By section, then by name; both as they stand in the file. Names are unique across sections. */
export const options = {
  proxy: {
    port: option({
      kind: integer(0, 65535),
      default: "9977",
      help: "TCP port on which apt is served",
      text: "apt learns it from the configuration files, not from environment or command line; sources that name this daemon have to follow by hand. With 0 the system chooses one at every start, which only tests want.",
    }),
    bind: option({
      kind: list(address),
      default: "0.0.0.0, ::",
      help: "addresses on which to listen",
      text: "Other machines get nothing here but what peers may have of each other, unless allow names them. With loopback addresses alone nothing is given to other machines. An address of a family that this machine does not have is skipped, unless none is left.",
    }),
    allow: option({
      kind: list(network),
      default: "",
      help: "networks whose apt is served, beside this machine",
      text: "This machine is always allowed. Whoever is allowed may fetch from every host that apt could reach from here. Peers need not be allowed.",
      reloadable: true,
    }),
    hosts: option({
      kind: list(host),
      default: "",
      help: "further names under which clients may address this daemon",
      text: "A request that names any other host, apart from localhost and addresses, is refused with 421: it may come from a web page that has bound its own name to this machine.",
      reloadable: true,
    }),
    max_connections: option({
      kind: integer(1, 65536),
      default: "512",
      help: "most client connections at once",
      text: "Counted for each address in bind; further ones are closed at once. Machines that are not allowed hold at most half of them.",
    }),
  },
  apt: {
    direct_hosts: option({
      kind: list(hostPattern),
      default: "",
      help: "hosts that apt reaches without this daemon",
      text: "Read by /etc/apt-p2p/apt-proxy, which apt asks for its proxy, from the files alone: neither environment nor command line of the daemon matter. It counts from apt's next run on, and only where apt has been pointed here by that program.",
    }),
  },
  mirror: {
    https_hosts: option({
      kind: list(host),
      default: "",
      help: "hosts asked for with http that are fetched with https",
      text: "Their files are stored and checked like all others, whereas apt fetches sources with https by itself, or through an unreadable tunnel.",
      reloadable: true,
    }),
    allow_upstreams: option({
      kind: list(host),
      default: "",
      help: "hosts that may lie on this machine or its link",
      text: "A host whose address is loopback, link-local or one of this machine's own is refused, unless apt's sources or this option name it.",
      reloadable: true,
    }),
    connect_timeout: option({
      kind: duration("100ms", "5m"),
      default: "20s",
      help: "longest wait for a connection to a mirror",
      text: "This includes the look-up of its name and the TLS handshake.",
      reloadable: true,
    }),
    response_timeout: option({
      kind: duration("1s", "10m"),
      default: "60s",
      help: "longest wait for a mirror's first answer byte",
      text: "apt itself hangs up after 30 seconds and asks again; it then finds the same download still waiting.",
      reloadable: true,
    }),
    stall_timeout: option({
      kind: duration("100ms", "10m"),
      default: "10s",
      help: "longest silence in the middle of a file",
      text: "After it the mirror is asked again, for the rest. Keep it well below 30 seconds, after which apt hangs up.",
      reloadable: true,
    }),
    connections_per_host: option({
      kind: integer(1, 64),
      default: "8",
      help: "most connections to one mirror",
      text: "Further requests wait for one of these.",
    }),
    serve_stale: option({
      kind: boolean,
      default: "no",
      help: "serve old indexes while a mirror cannot be reached",
      text: "Otherwise apt reports the failure as it would without this daemon.",
      reloadable: true,
    }),
  },
  archive: {
    apt_config_dir: option({
      kind: path,
      default: "/etc/apt",
      help: "where apt's sources and keys are",
      text: "Read are sources.list, sources.list.d, trusted.gpg, trusted.gpg.d and the keys that Signed-By names.",
    }),
    apt_lists_dir: option({
      kind: path,
      default: "/var/lib/apt/lists",
      help: "where apt keeps its indexes",
      text: "They are read at start, so that files are known which apt has heard of before this daemon ran.",
    }),
  },
  store: {
    cache_dir: option({
      kind: path,
      default: {
        of: (context) => userDirectory(context, "cache"),
        shown: "/var/cache/apt-p2p",
        explained: "for users $XDG_CACHE_HOME/apt-p2p or ~/.cache/apt-p2p",
      },
      help: "where files are stored",
      text: "All of it may be deleted while the daemon is stopped. The service may write to another directory only if ReadWritePaths= in a drop-in of apt-p2p.service names it.",
    }),
    state_dir: option({
      kind: path,
      default: {
        of: (context) => userDirectory(context, "state"),
        shown: "/var/lib/apt-p2p",
        explained: "for users $XDG_STATE_HOME/apt-p2p or ~/.local/state/apt-p2p",
      },
      help: "where the database and the control socket are",
      text: "One daemon at a time uses it. Commands find their daemon by it. For the service, what is said of cache_dir is true of this one as well.",
    }),
    quota: option({
      kind: orWord("auto", size),
      default: "auto",
      help: "most bytes that stored files may take",
      text: "When it is reached, files that no index lists any more go first, then those not used for longest. auto is a tenth of the file system and at most 10GB; 0 stores nothing.",
      reloadable: true,
    }),
    keep_free: option({
      kind: size,
      default: "500MB",
      help: "bytes to leave free on the file system of cache_dir",
      text: "With less than that free, files are passed on without being stored.",
      reloadable: true,
    }),
    offer_dirs: option({
      kind: list(path),
      default: "/var/cache/apt/archives",
      help: "directories whose files are used where they are",
      text: "Files in them are served without a copy, never changed and never deleted, and do not count towards the quota. The user of the daemon needs the permission to read them.",
    }),
  },
  dht: {
    network: option({
      kind: networkName,
      default: "public",
      help: "which swarm this daemon belongs to",
      text: "public is everybody's. lan stays among neighbours: no datagram is sent to an address outside of the networks to which this machine is attached, and only peers in them get files. Any other name is a swarm of those daemons that have the same name: datagrams of other networks are ignored.",
    }),
    enabled: option({
      kind: boolean,
      default: "yes",
      help: "take part in the distributed hash table",
      text: "With no, no UDP port is opened and no machine is found but those of neighbours. It does not end sharing; share = none does.",
    }),
    udp_port: option({
      kind: integer(0, 65535),
      default: "9977",
      help: "UDP port of the distributed hash table",
      text: "Other nodes send to it, so a firewall has to let it in. With 0 the system chooses one at every start, which only tests want.",
    }),
    udp_bind: option({
      kind: list(address),
      default: "0.0.0.0, ::",
      help: "addresses from which datagrams are sent and received",
      text: "One of each family at most. An address of a family that this machine does not have is skipped, unless none is left.",
    }),
    bootstrap: option({
      kind: list(hostAndPort),
      default: "",
      help: "nodes to join by when no other is known",
      text: "Any node will do; the port is its UDP port. Nodes that were met in earlier runs are asked as well, and so are those of the local network, if lan_discovery is on. All addresses of a name are asked.",
    }),
    lan_discovery: option({
      kind: boolean,
      default: "yes",
      help: "find nodes on the local network by multicast",
      text: "Node id, ports and a hash of the network's name are announced by UDP to 239.192.152.77 and ff12::6997, port 9978, on every interface. They do not pass routers.",
    }),
    share: option({
      kind: oneOf(["all", "fresh", "none"]),
      default: "fresh",
      help: "which stored files to share with other machines",
      text: "fresh means those that a current index lists, all means every stored file. With none no peer gets anything, and none is asked. What was fetched from private mirrors stays in the own network in any case.",
    }),
    lookup_min_size: option({
      kind: size,
      default: "64KiB",
      help: "smallest file to look up in the distributed hash table",
      text: "Smaller ones come from the mirror before a look-up has ended. Machines of the own network are asked about files of any size.",
    }),
  },
  peers: {
    upload_rate: option({
      kind: orWord("unlimited", size),
      default: "1MB",
      help: "bytes per second to all peers beyond the own network",
      text: "With 0 they get nothing. The own network is what this machine is attached to, and private addresses.",
      reloadable: true,
    }),
    upload_rate_per_peer: option({
      kind: orWord("unlimited", size),
      default: "unlimited",
      help: "bytes per second to one peer beyond the own network",
      text: "All of them together have upload_rate. With 0 they get nothing.",
      reloadable: true,
    }),
    lan_upload_rate: option({
      kind: orWord("unlimited", size),
      default: "unlimited",
      help: "bytes per second to all peers of the own network",
      text: "With 0 they get nothing.",
      reloadable: true,
    }),
    upload_slots: option({
      kind: integer(1, 1024),
      default: "8",
      help: "most uploads at once",
      text: "Twice as many wait for their turn; whoever comes then is told that this daemon is busy. A quarter of the slots is for the own network alone.",
      reloadable: true,
    }),
    upload_slots_per_peer: option({
      kind: integer(1, 64),
      default: "4",
      help: "most uploads to one peer at once",
      text: "A peer is an IPv4 address, or beyond the own network an IPv6 network of length 64.",
      reloadable: true,
    }),
    upload_hours: option({
      kind: orWord("always", hours),
      default: "always",
      help: "when peers beyond the own network get anything",
      text: "By the machine's clock and time zone. 22:00-06:30 goes over midnight. What is under way at its end is cut.",
      reloadable: true,
    }),
    upload_month: option({
      kind: orWord("unlimited", size),
      default: "unlimited",
      help: "most bytes in a calendar month beyond the own network",
      text: "Counted across restarts. When they are used up, only the own network gets anything until the month ends.",
      reloadable: true,
    }),
    neighbours: option({
      kind: list(hostAndPort),
      default: "",
      help: "machines to ask like those found on the local network",
      text: "For networks that multicast does not cross. The port is the TCP port on which they serve. All addresses of a name are asked.",
      reloadable: true,
    }),
  },
  router: {
    map_port: option({
      kind: boolean,
      default: "no",
      help: "ask the router to let other machines reach this one",
      text: "The TCP port of option port and the UDP port of option udp_port are asked for by NAT-PMP, then by UPnP (Internet Gateway Device), renewed, and given back when the daemon stops. This concerns IPv4 behind a router that translates addresses; apt-p2p status tells the outcome.",
      reloadable: true,
    }),
  },
  log: {
    level: option({
      kind: oneOf(["debug", "info", "warn", "error"]),
      default: "info",
      help: "least important messages to log",
      text: "The log goes to standard output, one line per event.",
      reloadable: true,
    }),
    requests: option({
      kind: boolean,
      default: "yes",
      help: "log a line for every request",
      text: "It says where the bytes came from: cache, mirror or passed through.",
      reloadable: true,
    }),
  },
} as const;

type Options = typeof options;

/** What sections are about, for the papers. */
export const sectionTitles: Readonly<Record<keyof Options, string>> = {
  proxy: "What apt talks to",
  apt: "What apt is told",
  mirror: "What this daemon talks to",
  archive: "Where it learns what a file must be",
  store: "What it keeps",
  dht: "The distributed hash table",
  peers: "What it gives to others, and takes from them",
  router: "What it asks of the router",
  log: "What it says",
};

type CamelCase<T extends string> = T extends `${infer A}_${infer B}`
  ? `${A}${Capitalize<CamelCase<B>>}`
  : T;

type SuffixOf<O> = O extends { readonly kind: { readonly suffix: infer S extends UnitSuffix } }
  ? S
  : never;
type ValueOf<O> = O extends Option<infer V> ? V : never;

/**
 * All settings: `config.<section>.<option>` in camelCase. Times end in `Ms`, sizes in `Bytes`:
 * `connect_timeout` of [mirror] is `config.mirror.connectTimeoutMs`.
 */
export type Config = {
  readonly [Section in keyof Options]: {
    readonly [
      Name in keyof Options[Section] &
        string as `${CamelCase<Name>}${SuffixOf<Options[Section][Name]>}`
    ]: ValueOf<Options[Section][Name]>;
  };
};

/** One row of the table with all its names. */
export interface OptionRow {
  readonly section: keyof Options;
  /** In the file: `cache_dir`. */
  readonly name: string;
  /** On the command line, without the dashes: `cache-dir`. */
  readonly flag: string;
  /** In the environment: `APT_P2P_STORE_CACHE_DIR`. */
  readonly variable: string;
  /** In `Config`: `cacheDir`. */
  readonly property: string;
  readonly option: Option;
}

/** What the names of all environment variables of this program begin with. */
export const variablePrefix = "APT_P2P_";

/** The table row by row, in its order. */
export const optionRows: readonly OptionRow[] = Object.entries(options).flatMap(([section, rows]) =>
  Object.entries<Option>(rows).map(([name, row]) => ({
    section: section as keyof Options,
    name,
    flag: name.replaceAll("_", "-"),
    variable: `${variablePrefix}${section}_${name}`.toUpperCase(),
    property:
      name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) + row.kind.suffix,
    option: row,
  })),
);

/** The default as the sample file and the manual show it. */
export function shownDefault(row: OptionRow): string {
  const given = row.option.default;
  return typeof given === "string" ? given : given.shown;
}

/** XDG Base Directory Specification: a relative path in the variables is to be ignored. */
function userDirectory(context: DefaultsContext, what: "cache" | "state"): string | undefined {
  if (context.isRoot) return what === "cache" ? "/var/cache/apt-p2p" : "/var/lib/apt-p2p";
  const base = what === "cache" ? context.xdgCacheHome : context.xdgStateHome;
  if (base?.startsWith("/") === true) return `${base}/apt-p2p`;
  const home = context.homeDirectory;
  const inHome = what === "cache" ? ".cache" : ".local/state";
  return home?.startsWith("/") === true ? `${home}/${inHome}/apt-p2p` : undefined;
}
