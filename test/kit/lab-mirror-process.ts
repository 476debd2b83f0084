/**
 * The test kit's mirror as a process of its own, for a host of the laboratory. Arguments: directory,
 * address, port, path of the log, of which each line is `client method status bytes path`.
 */
import { appendFileSync } from "node:fs";

import { startMirror } from "./mirror.ts";

const [root = "", host = "", port = "", logPath = ""] = process.argv.slice(2);
const mirror = await startMirror({ root, host, port: Number(port) });
let written = 0;

// In the order in which they were asked.
setInterval(() => {
  while (written < mirror.log.length) {
    const entry = mirror.log[written];
    if (entry?.over !== true) break;
    const { from, method, status, bytes, path } = entry;
    appendFileSync(logPath, `${from} ${method} ${status} ${bytes} ${path}\n`);
    written += 1;
  }
}, 100);
