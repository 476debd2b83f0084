/**
 * The crash test as a program: `npm run test:crash -- [--rounds 200] [--seed N] [--only store|daemon]`.
 * Prints JSON and writes it to bench/results/crash.json. Exit status 1 at the first violation.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { crashDaemon } from "./daemon-rounds.ts";
import { crashStore } from "./store-rounds.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    only: { type: "string" },
  },
});
const options = {
  rounds: Number(values.rounds),
  seed: Number(values.seed),
  milliseconds: 3_600_000,
};
const result = {
  date: new Date().toISOString().slice(0, 10),
  node: process.version,
  cpu: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`,
  kernel: release(),
  ...(values.only === "daemon" ? {} : { store: await crashStore(options) }),
  ...(values.only === "store" ? {} : { daemon: await crashDaemon(options) }),
};
const text = `${JSON.stringify(result, undefined, 2)}\n`;
process.stdout.write(text);
if (values.only === undefined) {
  const path = fileURLToPath(new URL("../../bench/results/crash.json", import.meta.url));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
