#!/usr/bin/env node
/** The program: gives the command what it needs of the machine, and ends with its exit status. */
import { homedir } from "node:os";
import { exitCodes } from "./exit-codes.ts";
import { programRunner } from "./run-program.ts";
import { runCommand } from "./run.ts";
import type { Output } from "./world.ts";

let outlivesReaders = false;
for (const stream of [process.stdout, process.stderr]) {
  // Whoever closed the pipe (`… | head`) has seen enough.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (outlivesReaders) return;
    process.exit(error.code === "EPIPE" ? exitCodes.ok.code : exitCodes.failure.code);
  });
}

const status = await runCommand(process.argv.slice(2), {
  out: output(process.stdout),
  err: output(process.stderr),
  environment: process.env,
  isRoot: process.geteuid?.() === 0,
  homeDirectory: homeDirectory(),
  workingDirectory: process.cwd(),
  systemConfigFile: "/etc/apt-p2p/apt-p2p.conf",
  systemStateDirectory: "/var/lib/apt-p2p",
  runProgram: programRunner(process.env),
  wallMs: () => Date.now(),
  outliveReaders: () => {
    outlivesReaders = true;
  },
});
// What has been written must be out before the end.
process.stdout.write("", () => process.stderr.write("", () => process.exit(status)));

function output(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => void stream.write(text),
    writeBytes: (bytes) =>
      new Promise((resolve) => {
        stream.write(bytes, () => resolve());
      }),
    isTerminal: stream.isTTY,
    get columns() {
      // 0 where the terminal does not say.
      return stream.columns || 80;
    },
  };
}

/** A system user may have none, which only matters where a default needs it. */
function homeDirectory(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}
