/**
 * Time to the first byte, one request at a time over one connection: 20 KB and 5 MB files, cold and
 * warm. The samples of all runs are taken together for the percentiles.
 */
import { fetchAll, type Wanted } from "../kit/client.ts";
import { inTurn, warmUp, type Context } from "../kit/context.ts";
import { quantile } from "../kit/results.ts";

export async function measureLatency(context: Context): Promise<void> {
  const { archive, results } = context;
  const samples = new Map<string, number[]>();
  const groups: readonly (readonly [string, readonly Wanted[]])[] = [
    ["20 KB", archive.latencySmall],
    ["5 MB", archive.latencyMedium],
  ];
  for (let run = 0; run < context.runs; run += 1) {
    for (const server of inTurn(context.servers, run)) {
      context.say(`latency ${String(run + 1)}/${String(context.runs)} ${server.name}`);
      await server.empty();
      await warmUp(server.endpoint, archive);
      for (const state of ["cold", "warm"] as const) {
        for (const [size, files] of groups) {
          const { fetched } = await fetchAll(server.endpoint, files, 1);
          const key = `${size} ${state}|${server.name}`;
          const before = samples.get(key) ?? [];
          samples.set(key, [...before, ...fetched.map(({ firstByteMs }) => firstByteMs)]);
        }
      }
    }
  }
  for (const [key, values] of samples) {
    const [what = "", server = ""] = key.split("|");
    for (const share of [0.5, 0.95]) {
      const name = `first byte ${what}, p${String(share * 100)}`;
      results.add(name, "ms", server, quantile(values, share));
    }
  }
}
