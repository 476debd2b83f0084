/**
 * A round trip for a mirror on the same host: a TCP relay that holds back what goes either way by
 * half of it, and the first bytes of a connection by a whole one more, which its handshake would have
 * taken. Rates are the link's business. What it does not imitate is TCP's slow start over that round
 * trip: the mirror looks a little quicker than it would be, which favours the mirror.
 *
 * Arguments: address, port, port of the mirror, round trip in ms.
 */
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";

const [address = "", port = "", behind = "", roundTrip = ""] = process.argv.slice(2);
const halfMs = Number(roundTrip) / 2;
/** What one direction may hold: more than the fastest link carries in half a round trip. */
const mostHeld = 4 << 20;

const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const mirror = connect({
    ...{ host: address, port: Number(behind) },
    ...{ noDelay: true, allowHalfOpen: true },
  });
  const acceptedMs = performance.now();
  pass(client, mirror, () => Math.max(halfMs, acceptedMs + 3 * halfMs - performance.now()));
  pass(mirror, client, () => halfMs);
});
server.listen(Number(port), address, 4096);

/** One queue for each direction: what comes later never overtakes. */
function pass(from: Socket, to: Socket, waitMs: () => number): void {
  const queue: { readonly dueMs: number; readonly action: () => void }[] = [];
  let held = 0;
  let timer: NodeJS.Timeout | undefined;
  const run = (): void => {
    timer = undefined;
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      const leftMs = first.dueMs - performance.now();
      if (leftMs > 0.5) {
        timer = setTimeout(run, leftMs);
        return;
      }
      queue.shift();
      first.action();
    }
  };
  const later = (action: () => void): void => {
    queue.push({ dueMs: performance.now() + waitMs(), action });
    timer ??= setTimeout(run, waitMs());
  };
  from.on("data", (chunk: Buffer) => {
    held += chunk.length;
    if (held > mostHeld) from.pause();
    later(() => {
      to.write(chunk, () => {
        held -= chunk.length;
        if (held <= mostHeld) from.resume();
      });
    });
  });
  from.on("end", () => later(() => to.end()));
  from.on("error", () => to.destroy());
  from.on("close", () => later(() => to.destroy()));
}
