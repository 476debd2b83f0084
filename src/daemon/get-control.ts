/**
 * What the control socket does for `get` and `share`: any file by its digest, as bytes in order;
 * files offered where they are; and for how long they stay offered.
 */
import type { ServerResponse } from "node:http";
import { AptP2pError, errorText } from "../base/errors.ts";
import { parseSha256, type Sha256 } from "../base/sha256.ts";
import { parseSeedUntil, seedUntilForms } from "../base/seed-until.ts";
import { second } from "../base/units.ts";
import type { Store } from "../cache/store.ts";
import type { OnProgress, StoredFile } from "../cache/types.ts";
import { get, type GetParts } from "../engine/get.ts";
import type { Uploads } from "../engine/peer-uploads.ts";

export interface GetControlParts extends GetParts {
  readonly store: Store;
  readonly uploads: Pick<Uploads, "file">;
}

/**
 * Bytes [start, size) as the body; size and digest in the head. What goes wrong after that is told in
 * the trailer `apt-p2p-problem`. Ends early when `signal` aborts.
 */
export async function sendFile(
  parts: GetParts,
  query: URLSearchParams,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const given = query.get("sha256");
  const sha256 = given === null ? undefined : parseSha256(given);
  if (given !== null && sha256 === undefined) throw new AptP2pError("USAGE", "no SHA-256");
  const start = Number(query.get("start") ?? "0");
  if (!Number.isSafeInteger(start) || start < 0) throw new AptP2pError("USAGE", "no position");
  const url = query.get("url") ?? undefined;
  const file = await get(parts, { url, sha256, start }, signal);
  response.writeHead(200, {
    "content-type": "application/octet-stream",
    "apt-p2p-size": file.sizeBytes,
    "apt-p2p-sha256": file.sha256,
    trailer: "apt-p2p-problem",
  });
  // Whoever waits for the first byte shall know how many there are.
  response.flushHeaders();
  try {
    for (;;) {
      const chunk = await file.body.next();
      if (chunk === undefined || signal.aborted) break;
      // A chunk's memory is used again by the second read after it: by then it must be out.
      await new Promise<void>((resolve) => response.write(chunk, () => resolve()));
    }
  } catch (thrown) {
    const code = thrown instanceof AptP2pError ? thrown.code : "STORAGE";
    const problem = JSON.stringify({ code, message: errorText(thrown) });
    response.addTrailers({ "apt-p2p-problem": encodeURIComponent(problem) });
  } finally {
    file.body.close();
  }
  response.end();
}

/** Nobody has asked for the file for so long. */
const idleMs = 30 * second;
const lookMs = second / 2;

/** Offers a file where it is; see cache/share.ts. */
export function share(
  { store, finder }: Pick<GetControlParts, "store" | "finder">,
  query: URLSearchParams,
  tell: OnProgress,
  signal: AbortSignal,
): Promise<StoredFile> {
  if (finder === undefined) {
    throw new AptP2pError("CONFIG", "with dht.share = none nothing is given to others");
  }
  return store.share(query.get("path") ?? "", tell, signal);
}

/** Resolves when it is not needed any more, or `signal` aborts; then it is not offered any more. */
export async function seed(
  { store, uploads, clock }: Pick<GetControlParts, "store" | "uploads" | "clock">,
  query: URLSearchParams,
  tell: (progress: { readonly note: string }) => void,
  signal: AbortSignal,
): Promise<unknown> {
  const sha256 = parseSha256(query.get("sha256") ?? "");
  const until = parseSeedUntil(query.get("until") ?? "");
  if (until === undefined) {
    throw new AptP2pError(
      "USAGE",
      `no condition: ${query.get("until") ?? ""}; use ${seedUntilForms}`,
    );
  }
  if (sha256 === undefined) throw new AptP2pError("USAGE", "no SHA-256");
  const file = store.find(sha256);
  if (file === undefined) {
    throw new AptP2pError("STORAGE", "the store could not keep this file; others get none of it");
  }
  const startMs = clock.monotonicMs();
  const before = uploads.file(sha256)?.bytes ?? 0;
  const given = (): number => (uploads.file(sha256)?.bytes ?? 0) - before;
  const over = (): boolean => {
    const lastMs = Math.max(startMs, uploads.file(sha256)?.lastMs ?? -Infinity);
    switch (until.kind) {
      case "idle":
        return clock.monotonicMs() - lastMs >= idleMs && (uploads.file(sha256)?.active ?? 0) === 0;
      case "ratio":
        return given() >= until.ratio * file.sizeBytes;
      case "time":
        return clock.monotonicMs() - startMs >= until.ms;
    }
  };
  while (!over() && !signal.aborted) {
    tell({ note: `${given()} bytes given` });
    await new Promise<void>((resolve) => clock.after(lookMs, () => resolve()));
  }
  await leave(store, sha256);
  return { sha256, uploadedBytes: given() };
}

async function leave(store: Store, sha256: Sha256): Promise<void> {
  await store.unshare(sha256);
}
