/** Ends of servers and of the daemon: soon, whatever its clients and the disk do. */
import type http from "node:http";
import { second } from "../base/units.ts";

/** How long running answers may take to end after SIGTERM; apt resumes what is cut. */
const farewellMs = 2 * second;
const idleLookMs = second / 20;

/** No new connections from now on; idle ones end now, busy ones with their answer, but soon. */
export function closeServer(server: http.Server): Promise<void> {
  return new Promise((resolve) => {
    const hurry = setTimeout(() => server.closeAllConnections(), farewellMs);
    // One that has had its answer would be kept for the next question.
    const look = setInterval(() => server.closeIdleConnections(), idleLookMs);
    server.close(() => {
      clearTimeout(hurry);
      clearInterval(look);
      resolve();
    });
    server.closeIdleConnections();
  });
}

/** Resolves with the work, whatever becomes of it, or after this time → whether it was in time. */
export function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    const done = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    work.then(done, done);
  });
}
