/** From a machine without the package to a daemon at rest. */
import { setTimeout as delay } from "node:timers/promises";

import { aptWorks, isContent } from "../apt-runs.ts";
import { median } from "../report.ts";
import { isRunning, lastWords, unit, unitOnce } from "../service.ts";
import { installCurrent } from "../story.ts";
import type { Step } from "../story.ts";

const longestStartSeconds = 1;
const mostRestingMegabytes = 100;
const restMs = 30_000;
const highestExposure = 2;

export const install: Step = {
  name: "install",
  needs: "absent",
  async run(story, findings) {
    const { machine } = story;
    await aptWorks(story, findings, "before", "direct");
    const installed = await machine.run(installCurrent);
    findings.check("apt-get installs it", isContent(installed), installed.output);
    findings.figure("apt-get install, s", installed.milliseconds / 1000);
    const facts = await unitOnce(machine, isRunning);
    findings.check(
      "it is active",
      isRunning(facts),
      isRunning(facts) ? "" : await lastWords(machine),
    );
    if (isRunning(facts)) findings.figure("ready, s", facts.readySeconds);
    const { stdout } = await machine.run("systemctl is-enabled apt-p2p; id -un apt-p2p");
    findings.check("it is enabled, and has its user", stdout === "enabled\napt-p2p\n", stdout);
    const owners = (await machine.run("stat -c %U /var/lib/apt-p2p /var/cache/apt-p2p")).stdout;
    findings.check("its directories are its own", owners === "apt-p2p\napt-p2p\n", owners);
    const user = (await machine.run(`stat -c %U /proc/${facts.pid}`)).stdout;
    findings.check("it does not run as root", user.trim() === "apt-p2p", user);
    await aptWorks(story, findings, "after", "daemon");
  },
};

export const security: Step = {
  name: "security",
  needs: "running",
  async run({ machine }, findings) {
    const { stdout, output } = await machine.run(
      "systemd-analyze security --no-pager apt-p2p.service",
    );
    const exposure = Number(/exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1] ?? NaN);
    findings.check("systemd-analyze tells the exposure", exposure >= 0, output);
    findings.atMost("exposure", exposure, highestExposure, "points");
  },
};

export const rest: Step = {
  name: "rest",
  needs: "running",
  async run({ machine }, findings) {
    await machine.ok("systemctl restart apt-p2p");
    const { pid } = await unitOnce(machine, isRunning);
    await delay(restMs);
    const status = await machine.ok(`cat /proc/${pid}/status`);
    const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? NaN);
    findings.atMost(
      "resident after 30 s, MB",
      (kilobytes * 1024) / 1e6,
      mostRestingMegabytes,
      "MB",
    );
    const still = await unit(machine);
    findings.check("it is the same process still", still.pid === pid, `${pid}, ${still.pid}`);
  },
};

export const restart: Step = {
  name: "restart",
  needs: "running",
  async run(story, findings) {
    const { machine } = story;
    const [ready, whole]: [number[], number[]] = [[], []];
    for (let round = 0; round < 5; round++) {
      const { code, output, milliseconds } = await machine.run("systemctl restart apt-p2p");
      if (code !== 0) findings.check("systemctl restarts it", false, output);
      whole.push(Math.round(milliseconds) / 1000);
      ready.push(Math.round((await unit(machine)).readySeconds * 1000) / 1000);
      // systemd refuses more than five starts in ten seconds.
      await machine.ok("systemctl reset-failed apt-p2p");
    }
    findings.figure("ready of each, s", ready);
    findings.figure("restart of each, s", whole);
    findings.atMost("ready, median, s", median(ready), longestStartSeconds, "s");
    await aptWorks(story, findings, "after", "daemon");
  },
};

export const reload: Step = {
  name: "reload",
  needs: "running",
  async run(story, findings) {
    const { machine } = story;
    const { pid } = await unit(machine);
    const { code, output } = await machine.run("systemctl reload apt-p2p");
    findings.check("systemctl reloads it", code === 0, output);
    const after = await unit(machine);
    findings.check("the process stays", after.pid === pid && isRunning(after), after.state);
    await aptWorks(story, findings, "after", "daemon");
  },
};

export const reboot: Step = {
  name: "reboot",
  needs: "running",
  async run(story, findings) {
    const { machine } = story;
    machine.powerOff();
    findings.figure("boot, s", await machine.boot());
    const facts = await unitOnce(machine, isRunning, 10_000);
    findings.check("it runs after a boot", isRunning(facts), facts.state);
    if (isRunning(facts)) findings.figure("ready, s", facts.readySeconds);
    await aptWorks(story, findings, "after", "daemon");
  },
};
