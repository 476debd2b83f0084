/**
 * The living laboratory by hand: `npm run sim -- --help`. A network of simulated nodes that run the
 * daemon's own DHT in virtual time; the same seed gives the same run, whose trace hash is printed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { hour, minute } from "../src/base/units.ts";
import { defaultPolicy, policies2008 } from "../src/dht/policy.ts";
import { nodeHashes } from "../src/io/node-hashes.ts";
import { benchChurn } from "../src/sim/dht/churn-bench.ts";
import { cdfFigure } from "../src/sim/figure.ts";
import { fixed, internet, planetLab } from "../src/sim/net/latency.ts";
import type { Latency } from "../src/sim/net/latency.ts";
import { matrix } from "../src/sim/net/latency-matrix.ts";
import { print, timed } from "./lab.ts";

const policies = [...policies2008, defaultPolicy];

const help = `Usage: npm run sim -- [OPTION]...

Simulates a network of DHT nodes that join, publish, look up, leave and come back, in virtual time,
and says how true their routing tables are and how lookups fare.

  --nodes N            nodes that run at any time (100)
  --hours H            hours of virtual time after a warm-up of 30 minutes (2)
  --seed N             the same seed gives the same run, bit by bit (1)
  --nat SHARE          share of the nodes behind NATs of all kinds, 0 to 1 (0.5)
  --loss SHARE         share of the datagrams that get lost, each way (0.02)
  --overloaded SHARE   share of the nodes that are slow and lose a quarter more (0.03)
  --churn yes|no       sessions of lognormal length, median 4.12 h, sigma 1.64 (yes)
  --publish N          keys that each node publishes (5)
  --latency MODEL      inet, pl, fixed:MS, or matrix:FILE with measured round trips (inet)
  --policy NAME        lookups: ${policies.map(({ name }) => name).join(", ")} (${defaultPolicy.name})
  --figure FILE        draws the times until the first value and until the end as SVG
  --json               prints everything as JSON
  --out FILE           writes the JSON to a file besides
  --help               this text

What is printed: the share of table entries that are dead (gone: the node left; hidden: it is behind
a NAT), lookups that found the publisher's value within 20 s, their times, the traffic of a node, the
trace hash, and what the run took of this machine.`;

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "100" },
    hours: { type: "string", default: "2" },
    seed: { type: "string", default: "1" },
    nat: { type: "string", default: "0.5" },
    loss: { type: "string", default: "0.02" },
    overloaded: { type: "string", default: "0.03" },
    churn: { type: "string", default: "yes" },
    publish: { type: "string", default: "5" },
    latency: { type: "string", default: "inet" },
    policy: { type: "string", default: defaultPolicy.name },
    figure: { type: "string" },
    json: { type: "boolean", default: false },
    out: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) console.log(help);
else await simulate();

async function simulate(): Promise<void> {
  const seed = number("seed", values.seed, { least: 0, most: 2 ** 53 });
  const policy = policies.find(({ name }) => name === values.policy);
  if (policy === undefined) throw new Error(`there is no policy ${values.policy}: see --help`);
  const share = { least: 0, most: 1 };
  const task = {
    ...{ seed, hashes: nodeHashes, policy, latency: latencyOf(values.latency, seed) },
    nodes: number("nodes", values.nodes, { least: 2, most: 100_000 }),
    durationMs: number("hours", values.hours, { least: 0.01, most: 10_000 }) * hour,
    natShare: number("nat", values.nat, share),
    loss: number("loss", values.loss, share),
    overloadedShare: number("overloaded", values.overloaded, share),
    keysPerNode: number("publish", values.publish, { least: 1, most: 32_768 }),
    churn: values.churn !== "no",
    progress: (text: string) => console.error(text),
  };
  const { result, cost } = await timed(() => benchChurn(task));
  const { row, firstValueMs, doneMs } = result;
  if (values.figure !== undefined) {
    const curves = [
      { name: "first value", values: firstValueMs },
      { name: "end", values: doneMs },
    ];
    const title = `Lookups of ${task.nodes} nodes in ${row.hours} h, seed ${seed}`;
    writeFileSync(values.figure, cdfFigure({ title, label: "Time (ms)", scale: "log", curves }));
  }
  const { dead, lookups } = row;
  const spent = cost(row.datagrams);
  print({ json: values.json, out: values.out }, { ...row, ...spent }, [
    ["dead entries, mean / max", `${percent(dead.mean)} / ${percent(dead.max)}`],
    [
      "of all, gone / hidden / in doubt",
      [row.gone, row.hidden, row.doubted].map(percent).join(" / "),
    ],
    ["lookups, missed", `${lookups.lookups}, ${lookups.missed}`],
    ["first value p50 / p90 / p99 (ms)", times(lookups.firstValue)],
    ["end p50 / p90 / p99 (ms)", times(lookups.done)],
    ["table size, messages per lookup", `${row.tableSize.toFixed(1)}, ${lookups.messages}`],
    ["bytes/s sent per node", String(row.bytesPerSecond)],
    ["trace hash", row.traceHash],
    ["wall / CPU seconds", `${spent.wallSeconds} / ${spent.cpuSeconds}`],
  ]);
}

function latencyOf(text: string, seed: number): Latency {
  const [kind, argument = ""] = text.split(/:(.*)/s);
  if (kind === "inet") return internet(seed);
  if (kind === "pl") return planetLab(seed);
  if (kind === "matrix") return matrix(readFileSync(argument, "utf8"));
  if (kind !== "fixed") throw new Error(`there is no latency ${text}: see --help`);
  return fixed(number("latency", argument, { least: 0, most: minute }));
}

function number(
  name: string,
  text: string,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= least && value <= most) return value;
  throw new Error(`--${name} must be ${least} to ${most}, not "${text}"`);
}

function times({ p50, p90, p99 }: { p50: number; p90: number; p99: number }): string {
  return `${p50} / ${p90} / ${p99}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
