import { AptP2pError, errorText } from "../base/errors.ts";

/** What the user reads in apt's output: the cause, in one line. */
export function mirrorFailure(host: string, thrown: unknown): AptP2pError {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof AptP2pError) return error;
  }
  const code = (thrown as { code?: unknown }).code;
  const known = typeof code === "string" ? CAUSES[code] : undefined;
  return new AptP2pError("UPSTREAM", `Cannot fetch from ${host}: ${known ?? errorText(thrown)}`, {
    cause: thrown,
  });
}

export const CUT_SHORT = "the body was cut short";

const CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection closed by the mirror",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name cannot be resolved at present",
  ETIMEDOUT: "no answer in time",
  ERR_HTTP_CONTENT_LENGTH_MISMATCH: CUT_SHORT,
};
