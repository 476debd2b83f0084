/**
 * The lookup bench: every contender on the same simulated network with the same seed.
 *
 *     npm run --silent bench:lookup -- --network pl-300 --seed 1 --json
 *
 * Prints one object per policy. `--figure FILE` draws the distributions of 2008's steps in the form
 * of the paper's figure, `--rtt-matrix FILE` takes measured round trips instead of the model's.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { policies2008 } from "../src/dht/policy.ts";
import { nodeHashes } from "../src/io/node-hashes.ts";
import { responseTimeBins, responseTimeFigure } from "../src/sim/figure.ts";
import { contenders } from "../src/sim/lookup/contenders.ts";
import { networkModels } from "../src/sim/lookup/networks.ts";
import { benchBound, benchContender, benchStore } from "../src/sim/lookup/run.ts";
import type { BenchResult } from "../src/sim/lookup/run.ts";
import { matrix } from "../src/sim/net/latency-matrix.ts";

const { values } = parseArgs({
  options: {
    network: { type: "string", default: "pl-300" },
    seed: { type: "string", default: "1" },
    lookups: { type: "string" },
    policy: { type: "string", multiple: true },
    "rtt-matrix": { type: "string" },
    figure: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

const model = networkModels.find(({ name }) => name === values.network);
if (model === undefined) {
  const names = networkModels.map(({ name }) => name).join(", ");
  throw new Error(`there is no network ${values.network}; there are ${names}`);
}
const matrixFile = values["rtt-matrix"];
const task = {
  ...{ model, seed: Number(values.seed), hashes: nodeHashes },
  lookups: Number(values.lookups ?? model.lookups),
  latency: matrixFile === undefined ? undefined : matrix(readFileSync(matrixFile, "utf8")),
};
const last = contenders.at(-1)!;
const wanted = (name: string): boolean => values.policy?.includes(name) ?? true;
const results: BenchResult[] = contenders
  .filter(({ policy }) => wanted(policy.name))
  .map((contender) => benchContender(task, contender));
if (wanted("store")) results.push(benchStore(task, last));
if (wanted("bound")) results.push(benchBound(task, last));

if (values.figure !== undefined) {
  const steps = results.filter(({ row }) => policies2008.some(({ name }) => name === row.policy));
  writeFileSync(
    values.figure,
    responseTimeFigure({
      title: `find_value on ${task.model.name}, seed ${task.seed}`,
      curves: steps.map(({ row, nodeMeansMs }) => ({
        name: row.policy,
        shares: responseTimeBins(nodeMeansMs.map((ms) => ms / 1000)),
      })),
    }),
  );
}
if (values.json)
  console.log(
    JSON.stringify(
      results.map(({ row }) => row),
      undefined,
      1,
    ),
  );
else table(results);

function table(shown: readonly BenchResult[]): void {
  console.log(`${task.model.name}, seed ${task.seed}, ${task.lookups} lookups; times in ms`);
  const head = ["policy", "done p50", "p90", "p99", "mean", "first p50", "p90", "p99"];
  const rest = ["messages", "bytes", "recall", "missed"];
  const rows = shown.map(({ row }) => [
    ...[row.policy, row.done.p50, row.done.p90, row.done.p99, row.done.mean],
    ...[row.firstValue.p50, row.firstValue.p90, row.firstValue.p99],
    ...[row.messages, row.bytesSent, row.recall, row.missed],
  ]);
  for (const row of [[...head, ...rest], ...rows]) {
    console.log(row.map((cell, index) => String(cell).padStart(index === 0 ? 10 : 9)).join(" "));
  }
}
