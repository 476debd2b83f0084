/** Programs of the system that a command asks: run to their end, within bounds. */
import { execFile } from "node:child_process";
import { MiB } from "../base/units.ts";

export type ProgramResult =
  | {
      readonly kind: "ended";
      readonly status: number;
      /** Standard output. */
      readonly out: string;
      /** Standard error. */
      readonly err: string;
      readonly tookMs: number;
    }
  /** It could not be started, a signal ended it, or it wrote or took too much. */
  | { readonly kind: "failed"; readonly reason: string };

export interface ProgramBounds {
  /** After so long it is ended. */
  readonly patienceMs: number;
  /** Which only root may choose. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

export type RunProgram = (
  file: string,
  words: readonly string[],
  bounds: ProgramBounds,
) => Promise<ProgramResult>;

/** With this environment; standard input is empty. The result never rejects. */
export function programRunner(
  environment: Readonly<Record<string, string | undefined>>,
): RunProgram {
  return (file, words, { patienceMs, user }) =>
    new Promise((resolve) => {
      const startMs = performance.now();
      const bounds = { timeout: patienceMs, killSignal: "SIGKILL", maxBuffer: 8 * MiB } as const;
      // A working directory that everybody may enter.
      const settings = { ...bounds, ...user, env: environment, cwd: "/" };
      const child = execFile(file, [...words], settings, (error, out, err) => {
        const tookMs = performance.now() - startMs;
        const status = error === null ? 0 : error.code;
        if (typeof status === "number") resolve({ kind: "ended", status, out, err, tookMs });
        else if (error?.killed === true) resolve({ kind: "failed", reason: "it does not end" });
        else resolve({ kind: "failed", reason: error?.message ?? "it was ended" });
      });
      child.stdin?.end();
    });
}
