/** Machines of a run: their root file systems unpacked in memory, the network, the mirror. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

import { NetLab } from "../kit/netlab.ts";
import { memoryDirectory, must, say } from "./host.ts";
import { Machine } from "./machine.ts";
import { TestMirror } from "./mirror.ts";
import { packagesUnderTest } from "./packages.ts";
import type { PackagesUnderTest } from "./packages.ts";
import { rootSystem } from "./roots.ts";

export class Laboratory {
  readonly packages: PackagesUnderTest;
  readonly mirror: TestMirror;
  readonly #directory: string;
  readonly #network: NetLab;
  readonly #dependencies = new Map<string, string>();

  private constructor(plan: {
    readonly packages: PackagesUnderTest;
    readonly mirror: TestMirror;
    readonly directory: string;
    readonly network: NetLab;
  }) {
    this.packages = plan.packages;
    this.mirror = plan.mirror;
    this.#directory = plan.directory;
    this.#network = plan.network;
  }

  /** `deb`: a package that was built before; undefined: `npm run deb` builds it. */
  static async open(deb: string | undefined): Promise<Laboratory> {
    // The order in which it is undone is the reverse: machines, network, memory.
    const directory = memoryDirectory();
    const packages = await packagesUnderTest(deb, join(directory, "debs"));
    const network = new NetLab();
    const mirror = await TestMirror.start(network.addHost());
    return new Laboratory({ packages, mirror, directory, network });
  }

  /** Booted, with the seconds that it took. */
  async machine(release: string, name: string): Promise<{ machine: Machine; bootSeconds: number }> {
    const base = await this.#base(release);
    const machine = new Machine({
      ...{ name, base, mirror: this.mirror, debs: this.packages.directory },
      place: this.#network.addHost(),
      directory: join(this.#directory, name),
      dependencies: this.#dependencies.get(release) ?? "",
    });
    const bootSeconds = await machine.boot();
    // As on any machine in use, whatever step comes first.
    await machine.ok("apt-get -q update");
    say(`${name} has booted in ${bootSeconds.toFixed(1)} s`);
    return { machine, bootSeconds };
  }

  close(): void {
    this.mirror.close();
    this.#network.close();
  }

  /** The release's root file system, unpacked. */
  async #base(release: string): Promise<string> {
    const base = join(this.#directory, `base-${release}`);
    if (existsSync(base)) return base;
    const { depends, recommends } = this.packages;
    const root = await rootSystem(release, { depends, recommends });
    if (root.madeInSeconds !== undefined) say(`${release}: made in ${root.madeInSeconds} s`);
    mkdirSync(base);
    must(["tar", "-x", "-f", root.tar, "-C", base]);
    this.#dependencies.set(release, root.dependencies);
    return base;
  }
}
