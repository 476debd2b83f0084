/** A process with a laboratory in which something runs, for the test of how it is removed. */
import { spawn } from "node:child_process";

import { NetLab } from "./netlab.ts";

const host = new NetLab().addHost();
const [file, ...args] = host.command(["sleep", "60"]);
spawn(file, args, { stdio: "ignore" });
process.stdout.write("ready\n");
