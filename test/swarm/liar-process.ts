/** A liar in a process of its own. Argument: its options as JSON; prints `ready` when it listens. */
import { startLiar } from "./liar.ts";
import type { LiarOptions } from "./liar.ts";

await startLiar(JSON.parse(process.argv[2] ?? "{}") as LiarOptions);
process.stdout.write("ready\n");
