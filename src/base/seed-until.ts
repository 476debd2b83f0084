/** Until when a file stays offered (`--seed-until`). The command checks it, and the daemon obeys it. */
import { hour, minute, second } from "./units.ts";

export type SeedUntil =
  /** Nobody takes it any more. */
  | { readonly kind: "idle" }
  /** So many times its size has gone to others. */
  | { readonly kind: "ratio"; readonly ratio: number }
  | { readonly kind: "time"; readonly ms: number };

/** For messages. */
export const seedUntilForms = "idle, a ratio such as 2x, or a time such as 90s, 30m, 2h";

const units = { s: second, m: minute, h: hour } as const;

/** undefined: it is none of the forms, or nothing. */
export function parseSeedUntil(text: string): SeedUntil | undefined {
  if (text === "idle") return { kind: "idle" };
  const [, amount = "", unit = ""] = /^(\d{1,6}(?:\.\d{1,3})?)(x|s|m|h)$/.exec(text) ?? [];
  const value = Number(amount);
  if (value === 0) return undefined;
  if (unit === "x") return { kind: "ratio", ratio: value };
  return { kind: "time", ms: value * units[unit as keyof typeof units] };
}
