/**
 * systemd's end of sd_notify(3): a datagram socket that writes down what arrives. In Perl, which is on
 * every Debian, since Node has no UNIX datagram sockets.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { undoable } from "./scratch.ts";

const script = `
  use strict; use Socket; $| = 1;
  socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die $!;
  bind($socket, pack_sockaddr_un($ARGV[0])) or die $!;
  print "bound\\n";
  while (defined recv($socket, my $text, 4096, 0)) { $text =~ s/\\n/;/g; print "$text\\n"; }
`;

export interface NotifySocket {
  readonly path: string;
  /** What has come so far, a datagram each, its lines joined by semicolons. */
  readonly messages: readonly string[];
  close(): void;
}

/** Whether there are both ends of the conversation on this machine. */
export function canNotify(): boolean {
  return ["systemd-notify", "perl"].every(
    (program) => spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0,
  );
}

export async function notifySocket(path: string): Promise<NotifySocket> {
  const child = spawn("perl", ["-e", script, path], { stdio: ["ignore", "pipe", "inherit"] });
  const killing = undoable(() => child.kill("SIGKILL"));
  const messages: string[] = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    messages.push(...lines);
  });
  await once(child.stdout, "data");
  messages.shift();
  return { path, messages, close: () => killing.undo() };
}
