/** Removal, return and purge. */
import { aptWorks, isContent } from "../apt-runs.ts";
import { differences, inventory, newcomers } from "../listing.ts";
import { belongings, isRunning, packageState, unitOnce } from "../service.ts";
import { installCurrent } from "../story.ts";
import type { Step } from "../story.ts";

const remaining = [
  "/etc/apt/apt.conf.d/30apt-p2p",
  "/etc/apt-p2p/apt-proxy",
  "/etc/apt-p2p/apt-p2p.conf",
];

export const remove: Step = {
  name: "remove",
  needs: "running",
  async run(story, findings) {
    const { machine } = story;
    const before = await belongings(machine);
    const removed = await machine.run("apt-get -q -y remove apt-p2p");
    findings.check("apt-get removes it", isContent(removed), removed.output);
    findings.figure("remove, s", removed.milliseconds / 1000);
    const state = await packageState(machine);
    findings.check("dpkg keeps its configuration", state === "config-files", state);
    const gone = remaining.filter((path) => !machine.has(path));
    findings.check("conffiles stay", gone.length === 0, gone.join(" "));
    // Not by ps: a small system has none.
    const processes = await machine.ok("find /proc -maxdepth 1 -user apt-p2p");
    findings.check("no process is left", processes === "", processes);
    await aptWorks(story, findings, "removed", "direct");
    const again = await machine.run(installCurrent);
    findings.check("apt-get installs it again", isContent(again), again.output);
    await unitOnce(machine, isRunning);
    const after = await belongings(machine);
    const kept = before.stored.every((sha256) => after.stored.includes(sha256));
    findings.check("id and files are as before", after.id === before.id && kept, after.id);
    await aptWorks(story, findings, "reinstalled", "daemon");
  },
};

export const purge: Step = {
  name: "purge",
  needs: "running",
  async run(story, findings) {
    const { machine, before } = story;
    await machine.ok("apt-p2p disable || true");
    machine.write("/etc/apt-p2p/conf.d/local.conf", "# The administrator's own.\n");
    const purged = await machine.run("apt-get -q -y purge apt-p2p");
    findings.check("apt-get purges it", isContent(purged), purged.output);
    const state = await packageState(machine);
    findings.check("dpkg has forgotten it", state === "not-installed", state);
    await aptWorks(story, findings, "purged", "direct");
    // autoremove would keep a dependency that something else suggests.
    const came = newcomers(before, await inventory(machine));
    if (came.length > 0) await machine.ok(`apt-get -q -y purge ${came.join(" ")}`);
    findings.figure("dependencies", came.join(" "));
    const left = differences(before, await inventory(machine));
    findings.check("nothing is left but the user", left.length === 0, left.join("\n"));
    const { code } = await machine.run("id apt-p2p");
    findings.check("the user is left", code === 0);
    const named = await machine.ok(
      "find / -xdev -path /srv -prune -o -name '*apt-p2p*' -print | grep -v '^/var/log/' || true",
    );
    findings.check("no file is named after it", named === "", named);
  },
};
