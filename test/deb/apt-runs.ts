/**
 * The question of the whole test: does a real `apt-get update && apt-get install` work at this moment,
 * and what does our daemon cost it? Each run gets a publication of its own, so that it has indexes and
 * a package to fetch; the same is then done past the daemon, and the times are compared.
 */
import type { Run } from "./host.ts";
import { mirrorName } from "./mirror.ts";
import type { Findings } from "./report.ts";
import { daemonStatus } from "./service.ts";
import type { Story } from "./story.ts";

/** How apt must get its files: `daemon` moves the daemon's counters, `direct` does not. */
export type Way = "daemon" | "direct" | "either";

/** What a dead daemon may cost one update and one install together. */
const longestDelaySeconds = 3;

/** `when`: names the figures, such as "frozen". */
export async function aptWorks(
  { machine, mirror }: Story,
  findings: Findings,
  when: string,
  way: Way,
): Promise<void> {
  const before = way === "either" ? undefined : await servedBytes(machine);
  const ours = await updateAndInstall(machine, await mirror.publish(), "");
  const served = way === "either" ? 0 : (await servedBytes(machine)) - (before ?? 0);
  const past = `-o Acquire::http::Proxy::${mirrorName}=DIRECT`;
  const direct = await updateAndInstall(machine, await mirror.publish(), past);
  const check = (what: string, passed: boolean, detail: string): void =>
    findings.check(`${when}: ${what}`, passed, detail);
  check("apt-get update and install succeed", isContent(ours), ours.output);
  check("so do they directly", isContent(direct), direct.output);
  findings.figure(`${when}: apt, s`, ours.milliseconds / 1000);
  const delay = (ours.milliseconds - direct.milliseconds) / 1000;
  findings.atMost(`${when}: delay, s`, delay, longestDelaySeconds, "s");
  if (way === "daemon") check("apt goes through the daemon", served > 0, `${served} bytes served`);
  if (way === "direct") check("apt goes past the daemon", served === 0, `${served} bytes served`);
}

function updateAndInstall(machine: Story["machine"], name: string, options: string): Promise<Run> {
  const apt = `apt-get -q -y ${options}`;
  return machine.run(`${apt} update && ${apt} install ${name}`);
}

/** Exit status 0, and nothing to complain about. */
export function isContent({ code, output }: Run): boolean {
  return code === 0 && !/^[EW]: /m.test(output);
}

async function servedBytes(machine: Story["machine"]): Promise<number> {
  return (await daemonStatus(machine))?.bytes.toClients ?? 0;
}
