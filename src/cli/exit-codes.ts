/** What the program's exit status means: the one table, which help and manual print. */
import type { ErrorCode } from "../base/errors.ts";

export const exitCodes = {
  ok: { code: 0, text: "all is well" },
  found: {
    code: 1,
    text: "something is amiss: verify met damage, import left files out, why knows no digest, lookup finds nobody, doctor has something to mend",
  },
  usage: { code: 2, text: "the command line is wrong" },
  configuration: { code: 3, text: "the configuration is wrong" },
  noDaemon: { code: 4, text: "no daemon answers" },
  inUse: { code: 5, text: "another daemon uses the port or the state directory" },
  storage: { code: 6, text: "the disk, the database or a permission stands in the way" },
  failure: { code: 7, text: "anything else went wrong" },
  newer: { code: 8, text: "the state directory belongs to a newer version of this program" },
} as const;

const byError: Readonly<Record<ErrorCode, keyof typeof exitCodes>> = {
  CONFIG: "configuration",
  USAGE: "usage",
  IN_USE: "inUse",
  NO_DAEMON: "noDaemon",
  STORAGE: "storage",
  NEWER: "newer",
  NO_SPACE: "storage",
  UPSTREAM: "failure",
  FORBIDDEN: "failure",
  MISMATCH: "failure",
  FORMAT: "failure",
  CLOSED: "failure",
};

/** The exit status that an error's code asks for; anything unknown is a failure. */
export function exitCodeOf(code: unknown): number {
  return exitCodes[isErrorCode(code) ? byError[code] : "failure"].code;
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(byError, code);
}
