/** The story of one machine: steps in order, each from a known state of the package. */
import type { Inventory } from "./listing.ts";
import type { Machine } from "./machine.ts";
import type { TestMirror } from "./mirror.ts";
import type { PackagesUnderTest } from "./packages.ts";
import { say } from "./host.ts";
import { Findings } from "./report.ts";
import type { StepReport } from "./report.ts";
import { isRunning, lastWords, packageState, packageVersion, unitOnce } from "./service.ts";

export interface Story {
  readonly machine: Machine;
  readonly mirror: TestMirror;
  readonly packages: PackagesUnderTest;
  /** Before the package was ever there. */
  readonly before: Inventory;
}

export interface Step {
  readonly name: string;
  /** `running`: the current version is installed and active. */
  readonly needs: "absent" | "running";
  run(story: Story, findings: Findings): Promise<void>;
}

export const installCurrent = "apt-get -q -y install /srv/debs/current.deb";

/** A step that fails does not end the story: the next one begins from the state that it needs. */
export async function tell(story: Story, steps: readonly Step[]): Promise<readonly StepReport[]> {
  const reports: StepReport[] = [];
  for (const step of steps) {
    say(`${story.machine.name}: ${step.name}`);
    const findings = new Findings();
    const begunMs = performance.now();
    try {
      await bring(story, step.needs);
      await step.run(story, findings);
    } catch (error) {
      findings.check("the step comes to its end", false, String(error));
    }
    reports.push(findings.report(step.name, (performance.now() - begunMs) / 1000));
  }
  return reports;
}

async function bring({ machine, packages }: Story, needs: Step["needs"]): Promise<void> {
  const state = await packageState(machine);
  if (needs === "absent") {
    if (state !== "not-installed") await machine.ok("apt-get -q -y purge apt-p2p");
    return;
  }
  const current = state === "installed" && (await packageVersion(machine)) === packages.version;
  if (!current) await machine.ok(installCurrent);
  if (isRunning(await unitOnce(machine, isRunning, current ? 5_000 : 20_000))) return;
  const { code } = await machine.run("systemctl reset-failed apt-p2p; systemctl restart apt-p2p");
  if (code !== 0) throw new Error(`the daemon cannot be started:\n${await lastWords(machine)}`);
}
