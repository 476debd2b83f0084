/**
 * Temporary directories and other things that must be undone. Whatever was made is removed when the
 * test says so, and again when the process ends, however it ends.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const pending = new Set<() => void>();

/** Something to undo: now by `undo`, or never by `forget`, or else when the process ends. */
export interface Undoable {
  readonly undo: () => void;
  readonly forget: () => void;
}

export function undoable(action: () => void): Undoable {
  const undo = (): void => {
    if (pending.delete(undo)) action();
  };
  pending.add(undo);
  return { undo, forget: () => pending.delete(undo) };
}

/** An empty directory of mode 0755: apt's unprivileged helpers must be able to read it. */
export function scratchDirectory(label: string): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), `apt-p2p-${label}-`));
  chmodSync(path, 0o755);
  const removal = undoable(() => rmSync(path, { recursive: true, force: true, maxRetries: 3 }));
  return { path, remove: removal.undo };
}

function undoAll(): void {
  for (const undo of [...pending].reverse()) {
    try {
      undo();
    } catch (error) {
      process.stderr.write(`clean-up failed: ${String(error)}\n`);
    }
  }
}

process.on("exit", undoAll);
for (const [signal, number] of [
  ["SIGINT", 2],
  ["SIGTERM", 15],
  ["SIGHUP", 1],
] as const) {
  process.once(signal, () => process.exit(128 + number));
}
