/** All scenarios of the equivalence suite; long ones first, so that nothing waits for them at the end. */
import type { Scenario } from "../scenario.ts";
import { answers } from "./answers.ts";
import { bodies } from "./bodies.ts";
import { clients } from "./clients.ts";
import { daemon } from "./daemon.ts";
import { https } from "./https.ts";
import { plain } from "./plain.ts";
import { signing } from "./signing.ts";

const all = [...plain, ...signing, ...answers, ...bodies, ...clients, ...daemon, ...https];

export const scenarios: readonly Scenario[] = [
  ...all.filter((each) => each.slow === true),
  ...all.filter((each) => each.slow !== true),
];
