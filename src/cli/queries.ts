/** `status` and `why`: one question, one answer. */
import { second } from "../base/units.ts";
import type { CommandFlag } from "./commands.ts";
import type { Control } from "./control.ts";
import { exitCodes } from "./exit-codes.ts";
import { statusView } from "./status-view.ts";
import { isKnown, whyView } from "./why-view.ts";
import type { World } from "./world.ts";

/** What a command that asks the daemon gets. */
export interface Query {
  readonly control: Control;
  readonly operands: readonly string[];
  readonly flags: ReadonlySet<CommandFlag["name"]>;
  readonly values: ReadonlyMap<CommandFlag["name"], string>;
  readonly world: World;
}

/** Questions that the daemon answers from memory; a stopped daemon never will. */
export const patienceMs = 10 * second;

export async function showStatus({ control, flags, world }: Query): Promise<number> {
  const snapshot = await control.ask({ method: "GET", target: "/status", patienceMs });
  world.out.write(flags.has("json") ? jsonText(snapshot) : statusView(snapshot));
  return exitCodes.ok.code;
}

export async function showWhy({ control, operands, flags, world }: Query): Promise<number> {
  const target = `/why?${new URLSearchParams({ url: operands[0] ?? "" }).toString()}`;
  const explanation = await control.ask({ method: "GET", target, patienceMs });
  const shown = flags.has("json") ? jsonText(explanation) : whyView(explanation, world.wallMs());
  world.out.write(shown);
  return isKnown(explanation) ? exitCodes.ok.code : exitCodes.found.code;
}

export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
