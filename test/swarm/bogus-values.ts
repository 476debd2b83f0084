/**
 * A process of many DHT nodes, each at an address of its own, that all say to have every file, and to
 * be whole at a port where nobody listens. Argument: its options as JSON. Prints how many values it has
 * placed whenever that has changed.
 */
import { endpoint } from "../../src/base/endpoint.ts";
import type { Sha256 } from "../../src/base/sha256.ts";
import { RealWorld, wholeFile } from "../integration/dht-swarm.ts";
import type { SwarmNode } from "../integration/dht-swarm.ts";

export interface BogusOptions {
  readonly addresses: readonly string[];
  /** address:port of a node of the network. */
  readonly bootstrap: { readonly address: string; readonly port: number };
  readonly digests: readonly string[];
}

const options = JSON.parse(process.argv[2] ?? "{}") as BogusOptions;
const world = new RealWorld(1);
const nodes: SwarmNode[] = [];
for (const [index, address] of options.addresses.entries()) {
  const bootstrap = [endpoint(options.bootstrap.address, options.bootstrap.port)];
  const node = await world.open({ index, address, port: 9977, bootstrap });
  for (const digest of options.digests) node.service.publish(digest as Sha256, wholeFile);
  nodes.push(node);
}
let told = -1;
setInterval(() => {
  const placed = nodes
    .flatMap(({ service }) => service.status().families)
    .reduce((sum, { publishing }) => sum + publishing.placed, 0);
  if (placed === told) return;
  told = placed;
  process.stdout.write(`${placed}\n`);
}, 500);
