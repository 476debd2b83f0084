/**
 * A network of its own on this machine: each host is a network namespace with one link to a switch,
 * which is a bridge in a namespace of its own. Link rates are held by token buckets (tc-tbf); some
 * hosts can live behind a router that translates addresses (nftables). Nothing here is connected to
 * the machine's own network.
 *
 * Needs root. Namespaces are named after this process, so that two laboratories never meet; what one
 * made is removed by `close`, else when the process ends. What a killed process left is removed by
 * the next laboratory.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

import { raiseNeighbourLimits } from "./neighbour-table.ts";
import { undoable } from "./scratch.ts";
import type { Undoable } from "./scratch.ts";

/**
 * `near`: 198.18/15 (RFC 2544), one link on which everybody hears everybody's multicast, and which
 * counts as the own network. `far`: no two hosts share a network; addresses count as global, and each
 * is a /24 of its own. They are of 11/8, which the namespaces never leave.
 */
export type LabNetwork = "near" | "far";

/** Rates of a host's link in Mbit/s; not given: as fast as it goes. */
export interface Link {
  readonly upMbit?: number;
  readonly downMbit?: number;
}

/** Where a program runs: a host of the laboratory, or this machine's loopback. */
export interface Place {
  readonly address: string;
  /** The command that runs `words` there. */
  command(words: readonly string[]): readonly [file: string, ...args: string[]];
}

const needed: readonly (readonly [program: string, debianPackage: string])[] = [
  ["ip", "iproute2"],
  ["tc", "iproute2"],
  ["nsenter", "util-linux"],
];
const prefix = "p2plab";
let laboratories = 0;
let problem: { readonly text: string | undefined } | undefined;

/** Why no laboratory can be had here; undefined: it can. */
export function netlabProblem(): string | undefined {
  problem ??= { text: findProblem() };
  return problem.text;
}

/** The same for routers that translate addresses. */
export function natProblem(): string | undefined {
  return netlabProblem() ?? missing([["nft", "nftables"]]);
}

function findProblem(): string | undefined {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const lacking = missing(needed);
  if (lacking !== undefined) return lacking;
  const name = `${prefix}-${process.pid}-probe`;
  const made = run(["ip", "netns", "add", name]);
  if (made.status !== 0) return `no network namespace can be made: ${made.stderr.trim()}`;
  const link = ["ip", "-n", name, "link", "add", "br0", "type", "bridge"];
  const bridge = run(link);
  run(["ip", "netns", "del", name]);
  return bridge.status === 0 ? undefined : `no bridge can be made: ${bridge.stderr.trim()}`;
}

function missing(programs: typeof needed): string | undefined {
  const path = (process.env["PATH"] ?? "").split(":").concat("/usr/sbin", "/sbin");
  const lacking = programs.find(([name]) => !path.some((each) => existsSync(`${each}/${name}`)));
  return lacking === undefined ? undefined : `${lacking[0]} is missing (package ${lacking[1]})`;
}

export class NetLab {
  readonly network: LabNetwork;
  readonly #name: string;
  readonly #namespaces: string[] = [];
  readonly #switch: string;
  readonly #removal: Undoable;
  #hosts = 0;
  #ports = 0;
  #bridges = 1;

  constructor(network: LabNetwork = "near") {
    const reason = netlabProblem();
    if (reason !== undefined) throw new Error(reason);
    removeLeftovers();
    this.network = network;
    this.#name = `${prefix}-${process.pid}-${++laboratories}`;
    const lowerAgain = raiseNeighbourLimits();
    this.#removal = undoable(() => {
      this.#remove();
      if (!anyLaboratory()) lowerAgain();
    });
    this.#switch = this.#addNamespace("sw");
    // A bridge that snoops on multicast without a querier forgets who listens.
    this.#ip(this.#switch, [
      "link add br0 type bridge",
      "link set br0 type bridge mcast_snooping 0",
      "link set br0 up",
    ]);
  }

  addHost(link: Link = {}): LabHost {
    const number = ++this.#hosts;
    const namespace = this.#addNamespace(`h${number}`);
    const port = this.#plug(namespace, "eth0");
    const address = this.#address(number);
    this.#ip(namespace, [
      `addr add ${address}/${this.network === "near" ? 15 : 32} dev eth0`,
      "link set eth0 up",
      "route add default dev eth0",
    ]);
    const host = new LabHost({ namespace, address, far: { namespace: this.#switch, port } });
    host.setLink(link);
    return host;
  }

  addHosts(count: number, link: Link = {}): readonly LabHost[] {
    return Array.from({ length: count }, () => this.addHost(link));
  }

  /**
   * A router as homes have it: whoever is behind it gets out by its address (a port-restricted cone;
   * `symmetric`: another port for each destination), and nobody gets in, nor an answer.
   */
  addRouter(link: Link = {}, kind: "cone" | "symmetric" = "cone"): LabRouter {
    const reason = natProblem();
    if (reason !== undefined) throw new Error(reason);
    const host = this.addHost(link);
    this.#ip(host.namespace, [
      "link add br1 type bridge",
      "link set br1 type bridge mcast_snooping 0",
      // All homes use the same network.
      "addr add 192.168.1.1/24 dev br1",
      "link set br1 up",
    ]);
    must(host.command(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]));
    must(host.command(["nft", "-f", "-"]), translation(kind));
    let inside = 0;
    const addHost = (): LabHost => {
      const number = ++inside;
      const namespace = this.#addNamespace(`${host.namespace.split("-").at(-1) ?? ""}i${number}`);
      const port = `q${number}`;
      this.#ip(host.namespace, [
        `link add ${port} type veth peer name eth0 netns ${namespace}`,
        `link set ${port} master br1 up`,
      ]);
      const address = `192.168.1.${number + 1}`;
      this.#ip(namespace, [
        `addr add ${address}/24 dev eth0`,
        "link set eth0 up",
        "route add default via 192.168.1.1",
      ]);
      const far = { namespace: host.namespace, port };
      return new LabHost({ namespace, address, far, router: host });
    };
    return { outside: host, addHost };
  }

  /** Cuts these off from all others, and not from each other; who is behind a router takes it along. */
  partition(places: readonly Place[]): void {
    if (this.#bridges === 1) {
      this.#bridges = 2;
      this.#ip(this.#switch, [
        "link add br1 type bridge",
        "link set br1 type bridge mcast_snooping 0",
        "link set br1 up",
      ]);
    }
    for (const place of places) this.#join(this.hostOf(place), "br1");
  }

  /**
   * Everybody reaches everybody again, at once: a kernel that still asks who has an address that was cut
   * off would fail whoever joins in that asking, up to 3 s after it began.
   */
  heal(places: readonly Place[]): void {
    for (const place of places) this.#join(this.hostOf(place), "br0");
    for (const namespace of this.#namespaces) {
      if (namespace !== this.#switch) this.#ip(namespace, ["neigh flush nud all"]);
    }
  }

  /** A port that changes its bridge forgets what it does with multicast. */
  #join(host: LabHost, bridge: "br0" | "br1"): void {
    this.#ip(this.#switch, [
      `link set ${host.switchPort} master ${bridge}`,
      ...this.#multicast(host.switchPort),
    ]);
  }

  /** The host that this place is. */
  hostOf(place: Place): LabHost {
    if (place instanceof LabHost) return place;
    throw new Error(`${place.address} is no host of a laboratory`);
  }

  /** Ends every process in its namespaces and removes them. */
  close(): void {
    this.#removal.undo();
  }

  #address(number: number): string {
    if (this.network === "far") return `11.${number >> 8}.${number & 255}.1`;
    return `198.18.${Math.floor(number / 250)}.${(number % 250) + 1}`;
  }

  #addNamespace(suffix: string): string {
    const name = `${this.#name}-${suffix}`;
    this.#namespaces.push(name);
    must(["ip", "netns", "add", name]);
    if (chosenCongestionControl !== undefined) {
      const setting = `net.ipv4.tcp_congestion_control=${chosenCongestionControl}`;
      must(["ip", "netns", "exec", name, "sysctl", "-q", "-w", setting]);
    }
    this.#ip(name, ["link set lo up"]);
    return name;
  }

  /** A cable from the switch to a new interface of the namespace → the switch's port. */
  #plug(namespace: string, device: string): string {
    const port = `p${++this.#ports}`;
    this.#ip(this.#switch, [
      `link add ${port} type veth peer name ${device} netns ${namespace}`,
      `link set ${port} master br0 up`,
      ...this.#multicast(port),
    ]);
    return port;
  }

  /** Nobody hears another's multicast from afar. */
  #multicast(port: string): readonly string[] {
    return this.network === "far" ? [`link set ${port} type bridge_slave mcast_flood off`] : [];
  }

  #ip(namespace: string, lines: readonly string[]): void {
    must(["ip", "-n", namespace, "-batch", "-"], `${lines.join("\n")}\n`);
  }

  #remove(): void {
    removeNamespaces(this.#namespaces.reverse());
  }
}

export interface LabRouter {
  readonly outside: LabHost;
  /** A host behind it. */
  addHost(): LabHost;
}

interface HostPlan {
  readonly namespace: string;
  readonly address: string;
  /** The other end of its link. */
  readonly far: { readonly namespace: string; readonly port: string };
  readonly router?: LabHost;
}

export class LabHost implements Place {
  readonly namespace: string;
  readonly address: string;
  readonly #far: HostPlan["far"];
  readonly #router: LabHost | undefined;

  constructor({ namespace, address, far, router }: HostPlan) {
    this.namespace = namespace;
    this.address = address;
    this.#far = far;
    this.#router = router;
  }

  /** Of the laboratory's switch: its own, or its router's. */
  get switchPort(): string {
    return this.#router?.switchPort ?? this.#far.port;
  }

  /** Changes only what is given. */
  setLink({ upMbit, downMbit }: Link): void {
    if (upMbit !== undefined) limit(this.namespace, "eth0", upMbit);
    if (downMbit !== undefined) limit(this.#far.namespace, this.#far.port, downMbit);
  }

  command(words: readonly string[]): readonly [string, ...string[]] {
    return ["nsenter", `--net=/run/netns/${this.namespace}`, "--", ...words];
  }

  /** More addresses for it, of 198.19/16; each laboratory has one host with such. */
  addAddresses(count: number): readonly string[] {
    const more = Array.from({ length: count }, (_, index) => {
      return `198.19.${Math.floor(index / 250)}.${(index % 250) + 1}`;
    });
    const lines = more.map((address) => `addr add ${address}/15 dev eth0\n`);
    must(["ip", "-n", this.namespace, "-batch", "-"], lines.join(""));
    return more;
  }

  /** Bytes that have left it by its link, with all headers. */
  sentBytes(): number {
    return this.#bytes("transmit");
  }

  receivedBytes(): number {
    return this.#bytes("receive");
  }

  /** proc_net(5): after the name 8 fields of what came in, then those of what went out. */
  #bytes(direction: "receive" | "transmit"): number {
    const text = must(this.command(["cat", "/proc/net/dev"]));
    const fields = (/eth0:\s*(.*)/.exec(text)?.[1] ?? "").split(/\s+/);
    return Number(fields[direction === "receive" ? 0 : 8] ?? "0");
  }
}

/** This machine's loopback: any address of 127/8 is there already, and needs no rights. */
export function loopbackPlace(address: string): Place {
  return { address, command: ([file = "", ...args]) => [file, ...args] };
}

/**
 * The queue may hold 50 ms of bytes: routers of homes hold more, switches less. The bucket holds 10 ms
 * of them, and 32 KB at least: a smaller one would cut the large segments in which this kernel hands on
 * TCP into packets, and 50 hosts on two CPUs would spend their time with those.
 */
function limit(namespace: string, device: string, mbit: number): void {
  const burst = Math.max(32_000, Math.round((mbit * 1e6 * 0.01) / 8));
  const rate = `rate ${Math.round(mbit * 1000)}kbit burst ${burst} latency 50ms`;
  must(["tc", "-n", namespace, "-batch", "-"], `qdisc replace dev ${device} root tbf ${rate}\n`);
}

function translation(kind: "cone" | "symmetric"): string {
  return `table ip nat {
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    oif "eth0" masquerade ${kind === "symmetric" ? "fully-random" : ""}
  }
}
table ip filter {
  chain in {
    type filter hook input priority filter; policy drop;
    iif { "lo", "br1" } accept
    ct state established,related accept
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iif "br1" accept
  }
}
`;
}

function namespaces(): readonly string[] {
  return existsSync("/run/netns") ? readdirSync("/run/netns") : [];
}

/** Of any process: they share the kernel's limits. */
function anyLaboratory(): boolean {
  return namespaces().some((name) => name.startsWith(`${prefix}-`));
}

/** Of processes that are no more. */
function removeLeftovers(): void {
  removeNamespaces(
    namespaces().filter((name) => {
      const pid = new RegExp(`^${prefix}-(\\d+)-`).exec(name)?.[1];
      return pid !== undefined && !existsSync(`/proc/${pid}`);
    }),
  );
}

function removeNamespaces(names: readonly string[]): void {
  const present = names.filter((name) => existsSync(`/run/netns/${name}`));
  if (present.length === 0) return;
  const inodes = new Set(present.map((name) => `net:[${statSync(`/run/netns/${name}`).ino}]`));
  for (const pid of processes((net) => inodes.has(net))) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
  run(["ip", "-force", "-batch", "-"], present.map((name) => `netns del ${name}\n`).join(""));
}

function processes(inside: (net: string) => boolean): readonly number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      return inside(readlinkSync(`/proc/${name}/ns/net`)) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

let chosenCongestionControl: string | undefined;

/** For laboratories made from now on; without it they have what this machine has. */
export function chooseCongestionControl(name: string): void {
  const path = "/proc/sys/net/ipv4/tcp_available_congestion_control";
  const available = readFileSync(path, "utf8").trim().split(" ");
  if (!available.includes(name)) {
    throw new Error(`congestion control: choose from ${available.join(", ")}`);
  }
  chosenCongestionControl = name;
}

/** TCP's congestion control in the laboratory: figures depend on it. */
export function congestionControl(): string {
  const path = "/proc/sys/net/ipv4/tcp_congestion_control";
  return chosenCongestionControl ?? readFileSync(path, "utf8").trim();
}

function must(command: readonly string[], input = ""): string {
  const { status, stdout, stderr } = run(command, input);
  if (status !== 0) throw new Error(`${command.join(" ")} failed: ${stderr.trim()}`);
  return stdout;
}

function run(
  [file = "", ...args]: readonly string[],
  input = "",
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  const result = spawnSync(file, args, { encoding: "utf8", input, env: { ...process.env, PATH } });
  if (result.error !== undefined) return { status: -1, stdout: "", stderr: result.error.message };
  return result;
}
