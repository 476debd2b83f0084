/**
 * Frees the buffers that sockets leave behind. To V8 each is a small object with 64 KiB outside its
 * heap; it would let hundreds of them gather before it looks. A look at the young objects alone
 * takes less than a millisecond, some ten in a daemon with many peers.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MiB } from "../base/units.ts";

/** Bytes received between two collections. */
const EVERY_BYTES = 4 * MiB;

type Collect = (options: { readonly type: "minor" }) => void;

let collect: Collect | undefined;
let receivedBytes = 0;

/** Notes that buffers of so many bytes have come from a socket. */
export function noteReceived(bytes: number): void {
  receivedBytes += bytes;
  if (receivedBytes < EVERY_BYTES) return;
  receivedBytes = 0;
  collect ??= exposeCollector();
  collect({ type: "minor" });
}

function exposeCollector(): Collect {
  setFlagsFromString("--expose-gc");
  const exposed: unknown = runInNewContext("gc");
  return typeof exposed === "function" ? (exposed as Collect) : () => undefined;
}
