/**
 * The one error class of the project.
 *
 * `code` is stable and machine-readable; `message` names the thing, what was required and what was
 * found; `cause` keeps what lies below. Faults of our own code are plain Errors; what a remote party
 * did wrong is a returned value, never an exception that crosses a room.
 */
export class AptP2pError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "AptP2pError";
    this.code = code;
  }
}

export type ErrorCode =
  /** A configuration file, environment variable or flag is wrong; the message says where. */
  | "CONFIG"
  /** The command line is wrong. */
  | "USAGE"
  /** Another daemon uses this state directory or this port. */
  | "IN_USE"
  /** No daemon answers on the control socket. */
  | "NO_DAEMON"
  /** The disk, the database or a permission stands in the way. */
  | "STORAGE"
  /** The state directory belongs to a newer version of this program. */
  | "NEWER"
  /** No room left on the disk or in the quota. */
  | "NO_SPACE"
  /** A mirror could not be reached, or stopped answering. */
  | "UPSTREAM"
  /** The address or host is not one that this daemon may talk to. */
  | "FORBIDDEN"
  /** The content is not what the archive's metadata says. */
  | "MISMATCH"
  /** The input is not in the format that it claims to have. */
  | "FORMAT"
  /** The thing was closed, or the work was cancelled. */
  | "CLOSED";

/** Whatever was thrown → one line of text for a log. */
export function errorText(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const code = (thrown as { code?: unknown }).code;
  const prefix = typeof code === "string" && !thrown.message.includes(code) ? `${code}: ` : "";
  const cause = thrown.cause instanceof Error ? ` (${thrown.cause.message})` : "";
  return prefix + thrown.message + cause;
}
