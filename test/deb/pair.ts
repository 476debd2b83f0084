/** Two machines on one network, nothing configured: what the first has, the second takes from it. */
import { setTimeout as delay } from "node:timers/promises";

import { isContent } from "./apt-runs.ts";
import { say } from "./host.ts";
import type { Machine } from "./machine.ts";
import type { TestMirror } from "./mirror.ts";
import { Findings } from "./report.ts";
import type { StepReport } from "./report.ts";
import { daemonStatus } from "./service.ts";
import { installCurrent } from "./story.ts";

/** Of the bytes of its packages. */
const leastShare = 0.98;
const meetWithinMs = 20_000;

export async function tellPair(
  machines: readonly [Machine, Machine],
  mirror: TestMirror,
): Promise<StepReport> {
  say("two machines");
  const findings = new Findings();
  const begunMs = performance.now();
  try {
    await share(machines, mirror, findings);
  } catch (error) {
    findings.check("the step comes to its end", false, String(error));
  }
  return findings.report("pair", (performance.now() - begunMs) / 1000);
}

async function share(
  machines: readonly [Machine, Machine],
  mirror: TestMirror,
  findings: Findings,
): Promise<void> {
  const [first, second] = machines;
  for (const machine of machines) await machine.ok(installCurrent);
  const names = mirror.sharedPackages;
  const sizes = names.map((name) => mirror.archive.package(name).sizeBytes);
  const packageBytes = sizes.reduce((sum, size) => sum + size, 0);
  await mirror.publish();
  const install = `apt-get -q -y update && apt-get -q -y install ${names.join(" ")}`;
  const ofFirst = await first.run(install);
  findings.check("apt succeeds on the first", isContent(ofFirst), ofFirst.output);
  findings.figure("first: apt, s", ofFirst.milliseconds / 1000);
  findings.check("they meet", await meet(machines));
  // Files are offered within a second of their arrival.
  await delay(3000);
  mirror.resetTraffic();
  const before = await daemonStatus(second);
  const ofSecond = await second.run(install);
  findings.check("apt succeeds on the second", isContent(ofSecond), ofSecond.output);
  findings.figure("second: apt, s", ofSecond.milliseconds / 1000);
  const after = await daemonStatus(second);
  const fromPeers = (after?.bytes.fromPeers ?? 0) - (before?.bytes.fromPeers ?? 0);
  const fromMirror = mirror.packagesTo(second.address);
  findings.figure("package bytes", packageBytes);
  findings.figure("second: bytes from peers", fromPeers);
  findings.figure("second: package bytes from the mirror", fromMirror.bytes);
  findings.check(
    `at least ${leastShare * 100} % of the second's packages come from the first`,
    fromPeers >= packageBytes * leastShare && fromMirror.bytes <= packageBytes * (1 - leastShare),
    `${fromPeers} from peers, ${fromMirror.bytes} from the mirror: ${fromMirror.names.join(" ")}`,
  );
}

/** Until each has heard of the other. */
async function meet(machines: readonly Machine[]): Promise<boolean> {
  const deadline = performance.now() + meetWithinMs;
  for (;;) {
    const counts = await Promise.all(machines.map((machine) => contacts(machine)));
    if (counts.every((count) => count > 0)) return true;
    if (performance.now() > deadline) return false;
    await delay(500);
  }
}

async function contacts(machine: Machine): Promise<number> {
  const { code, stdout } = await machine.run("timeout 10 apt-p2p dht status --json");
  if (code !== 0) return 0;
  const { families = [] } = JSON.parse(stdout) as {
    readonly families?: readonly { readonly contacts: number }[];
  };
  return families.reduce((sum, family) => sum + family.contacts, 0);
}
