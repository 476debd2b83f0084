/**
 * A liar in a process of its own. Argument: its options as JSON; prints how often it was asked, as
 * JSON, when it listens and whenever that has changed.
 */
import { startLiar } from "./liar.ts";
import type { LiarOptions } from "./liar.ts";

const liar = await startLiar(JSON.parse(process.argv[2] ?? "{}") as LiarOptions);
let told = "";
setInterval(() => {
  const asked = JSON.stringify(Object.fromEntries(liar.asked));
  if (asked === told) return;
  told = asked;
  process.stdout.write(`${asked}\n`);
}, 200);
