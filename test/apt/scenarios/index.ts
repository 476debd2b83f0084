/** All scenarios of the equivalence suite. */
import type { Scenario } from "../scenario.ts";
import { answers } from "./answers.ts";
import { plain } from "./plain.ts";
import { signing } from "./signing.ts";

export const scenarios: readonly Scenario[] = [...plain, ...signing, ...answers];
