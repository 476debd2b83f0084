/** What may happen to a daemon, and what an administrator may do to it: apt goes on. */
import { aptWorks } from "../apt-runs.ts";
import { daemonStatus, isRunning, unit, unitOnce } from "../service.ts";
import type { Step } from "../story.ts";

const dropIn = "/etc/systemd/system/apt-p2p.service.d/test.conf";
const longestStopSeconds = 12;

export const kill: Step = {
  name: "kill",
  needs: "running",
  async run(story, findings) {
    const { machine } = story;
    await machine.ok("systemctl restart apt-p2p");
    const { pid, restarts } = await unit(machine);
    const begunMs = performance.now();
    await machine.ok(`kill -KILL ${pid}`);
    await aptWorks(story, findings, "at once", "either");
    const after = await unitOnce(machine, (facts) => isRunning(facts) && facts.restarts > restarts);
    findings.check(
      "systemd starts it again",
      isRunning(after) && after.pid !== pid,
      JSON.stringify(after),
    );
    findings.figure("back within, s", (performance.now() - begunMs) / 1000);
    await aptWorks(story, findings, "after", "daemon");
  },
};

export const watchdog: Step = {
  name: "watchdog",
  needs: "running",
  async run(story, findings) {
    const { machine } = story;
    const configured = await machine.ok("systemctl show -P WatchdogUSec apt-p2p");
    findings.check("it has a watchdog", /[1-9]/.test(configured), configured);
    findings.figure("watchdog", configured.trim());
    machine.write(dropIn, "[Service]\nWatchdogSec=4s\n");
    try {
      await machine.ok("systemctl daemon-reload && systemctl restart apt-p2p");
      const { pid, restarts } = await unit(machine);
      const begunMs = performance.now();
      await machine.ok(`kill -STOP ${pid}`);
      await aptWorks(story, findings, "frozen", "either");
      const after = await unitOnce(
        machine,
        (facts) => isRunning(facts) && facts.restarts > restarts,
      );
      findings.check(
        "systemd ends the frozen one and starts another",
        isRunning(after) && after.pid !== pid,
        JSON.stringify(after),
      );
      findings.figure("back within, s", (performance.now() - begunMs) / 1000);
      const { stdout } = await machine.run("journalctl -b -u apt-p2p -o cat --no-pager");
      findings.check("the journal names the watchdog", /watchdog/i.test(stdout), stdout);
      await aptWorks(story, findings, "after", "daemon");
    } finally {
      const undo = `rm -f ${dropIn}; rmdir ${dropIn.replace(/\/[^/]*$/, "")}`;
      await machine.ok(`${undo}; systemctl daemon-reload; systemctl restart apt-p2p`);
    }
  },
};

export const healthy: Step = {
  name: "healthy",
  needs: "running",
  async run({ machine }, findings) {
    machine.write(dropIn, "[Service]\nWatchdogSec=2s\n");
    try {
      await machine.ok("systemctl daemon-reload && systemctl restart apt-p2p");
      const before = await unit(machine);
      // Five intervals: a watchdog that nobody feeds would have bitten by now.
      await machine.ok("sleep 10");
      const after = await unit(machine);
      findings.check(
        "a watchdog of 2 s lets a healthy daemon live",
        after.pid === before.pid && after.restarts === before.restarts,
        JSON.stringify(after),
      );
    } finally {
      const undo = `rm -f ${dropIn}; rmdir ${dropIn.replace(/\/[^/]*$/, "")}`;
      await machine.ok(`${undo}; systemctl daemon-reload; systemctl restart apt-p2p`);
    }
  },
};

export const freeze: Step = {
  name: "freeze",
  needs: "running",
  async run(story, findings) {
    const { machine } = story;
    const { pid } = await unit(machine);
    await machine.ok(`kill -STOP ${pid}`);
    try {
      await aptWorks(story, findings, "frozen", "either");
    } finally {
      await machine.run(`kill -CONT ${pid}`);
    }
    const after = await unitOnce(machine, isRunning);
    findings.check("it goes on when it thaws", isRunning(after), after.state);
    await aptWorks(story, findings, "thawed", "daemon");
  },
};

export const stop: Step = {
  name: "stop",
  needs: "running",
  async run(story, findings) {
    const { machine } = story;
    const { code, output, milliseconds } = await machine.run("systemctl stop apt-p2p");
    findings.check("systemctl stops it", code === 0, output);
    findings.atMost("stop, s", milliseconds / 1000, longestStopSeconds, "s");
    const facts = await unit(machine);
    findings.check(
      "it ends of its own accord, with 0",
      facts.result === "success" && facts.exitStatus === 0,
      JSON.stringify(facts),
    );
    await aptWorks(story, findings, "stopped", "direct");
    await machine.ok("systemctl start apt-p2p");
    await aptWorks(story, findings, "started", "daemon");
  },
};

export const disable: Step = {
  name: "disable",
  needs: "running",
  async run(story, findings) {
    const { machine } = story;
    const off = await machine.run("apt-p2p disable");
    findings.check("apt-p2p disable", off.code === 0, off.output);
    findings.check("the daemon runs on", (await daemonStatus(machine)) !== undefined);
    await aptWorks(story, findings, "disabled", "direct");
    const on = await machine.run("apt-p2p enable");
    findings.check("apt-p2p enable", on.code === 0, on.output);
    await aptWorks(story, findings, "enabled", "daemon");
    const doctor = await machine.run("timeout 60 apt-p2p doctor");
    findings.figure("doctor's exit status", doctor.code ?? -1);
    findings.figure("doctor", doctor.output.trim());
  },
};
