/** Upgrade, a database from the future, and what the journal says of all that went before. */
import { aptWorks, isContent } from "../apt-runs.ts";
import { changedConffile, previousLine } from "../packages.ts";
import { belongings, isRunning, lastWords, packageVersion, unit, unitOnce } from "../service.ts";
import type { Belongings } from "../service.ts";
import { installCurrent } from "../story.ts";
import type { Step, Story } from "../story.ts";
import type { Findings } from "../report.ts";

const ownConffile = "/etc/apt-p2p/apt-p2p.conf";
const ownLine = "# The administrator was here.";

export const upgrade: Step = {
  name: "upgrade",
  needs: "absent",
  async run(story, findings) {
    const { machine, packages } = story;
    const first = await machine.run("apt-get -q -y install /srv/debs/previous.deb");
    findings.check("the previous build is installed", isContent(first), first.output);
    await unitOnce(machine, isRunning);
    await aptWorks(story, findings, "previous", "daemon");
    await machine.ok("apt-get -q -y install shared-0 shared-1");
    machine.append(ownConffile, `\n${ownLine}\n`);
    const before = await settled(story);
    const { pid } = await unit(machine);
    const upgraded = await machine.run(installCurrent);
    findings.check("apt-get upgrades without a question", isContent(upgraded), upgraded.output);
    findings.figure("upgrade, s", upgraded.milliseconds / 1000);
    const version = await packageVersion(machine);
    findings.check("the version is the current one", version === packages.version, version);
    const facts = await unitOnce(machine, isRunning);
    const renewed = isRunning(facts) && facts.pid !== pid;
    findings.check("the daemon is a new process", renewed, JSON.stringify(facts));
    await kept(story, before, findings);
    const own = machine.read(ownConffile);
    findings.check("the administrator's conffile is kept", own.includes(ownLine), own.slice(-200));
    const other = machine.read(changedConffile);
    findings.check("the other conffile is the new one", !other.includes(previousLine), other);
    await aptWorks(story, findings, "after", "daemon");
  },
};

/** Stored files are recorded within a second. */
async function settled({ machine }: Story): Promise<Belongings> {
  await machine.ok("sleep 2");
  return belongings(machine);
}

async function kept({ machine }: Story, before: Belongings, findings: Findings): Promise<void> {
  const after = await belongings(machine);
  findings.check("the node id is kept", after.id === before.id && after.id !== "", after.id);
  const lost = before.stored.filter((sha256) => !after.stored.includes(sha256));
  const told = `${lost.length} of ${before.stored.length} lost`;
  findings.check("stored files are kept", lost.length === 0 && before.stored.length > 0, told);
  findings.figure("stored files", before.stored.length);
}

const newerSchema = 4711;

/** Reads or writes the version in the database of a stopped daemon, by the package's own LevelDB. */
function schemaScript(version: string | undefined): string {
  const library = "/usr/lib/apt-p2p";
  const code = `
    const { ClassicLevel } = require("${library}/node_modules/classic-level");
    const db = new ClassicLevel("/var/lib/apt-p2p/db", { keyEncoding: "utf8", valueEncoding: "utf8" });
    (async () => {
      const key = "meta!schema";
      ${version === undefined ? "" : `await db.put(key, ${JSON.stringify(version)});`}
      process.stdout.write((await db.get(key)) ?? "");
      await db.close();
    })();`;
  const node = `$(command -v ${library}/node || command -v node)`;
  return `runuser -u apt-p2p -- ${node} -e '${code}'`;
}

export const downgrade: Step = {
  name: "downgrade",
  needs: "running",
  async run(story, findings) {
    const { machine } = story;
    const before = await settled(story);
    await machine.ok("systemctl stop apt-p2p");
    const schema = await machine.ok(schemaScript(undefined));
    findings.figure("schema", schema);
    findings.check("the database has a schema version", /\d/.test(schema), schema);
    await machine.ok(schemaScript(schema.replace(/\d+/, `${newerSchema}`)));
    const started = await machine.run("systemctl start apt-p2p");
    findings.check("it refuses to start", started.code !== 0, started.output);
    const facts = await unitOnce(machine, ({ state }) => state === "failed", 10_000);
    findings.check("the unit fails and is left alone", facts.state === "failed", facts.state);
    findings.figure("exit status", facts.exitStatus);
    const said = await lastWords(machine);
    findings.check("it names the newer version", said.includes(`${newerSchema}`), said);
    const words = said.split("\n").find((line) => line.includes(`${newerSchema}`));
    findings.figure("it says", words ?? "nothing");
    await aptWorks(story, findings, "refused", "direct");
    await machine.ok(schemaScript(schema));
    await machine.ok("systemctl reset-failed apt-p2p; systemctl start apt-p2p");
    await kept(story, before, findings);
    await aptWorks(story, findings, "after", "daemon");
  },
};

/** What a sandbox that is too narrow leaves in the journal. */
const denials =
  /SIGSYS|status=31\/SYS|\bEPERM\b|\bEACCES\b|Operation not permitted|Permission denied|\bdenied\b/;

export const journal: Step = {
  name: "journal",
  needs: "running",
  async run({ machine }, findings) {
    const unitLines = await machine.ok("journalctl -u apt-p2p -o cat --no-pager");
    // Without this the checks below could pass on an empty journal.
    const starts = unitLines.split("\n").filter((line) => line.startsWith("ready ")).length;
    findings.check("the journal holds what it said", starts > 0, unitLines);
    findings.figure("starts", starts);
    const denied = unitLines.split("\n").filter((line) => denials.test(line));
    findings.check("nothing was denied to it", denied.length === 0, denied.join("\n"));
    const own = "journalctl _SYSTEMD_UNIT=apt-p2p.service -o cat --no-pager";
    const errors = (await machine.run(`${own} -p err`)).stdout.trim();
    findings.check("it has reported no error", errors === "", errors);
    const warnings = (await machine.run(`${own} -p warning`)).stdout.trim();
    const kinds = new Set(warnings.split("\n").map((line) => line.split(" ")[0] ?? ""));
    findings.figure("warnings", [...kinds].filter((kind) => kind !== "").join(" "));
    const stderr = (await machine.ok(own))
      .split("\n")
      .filter((line) => /^\(node:|Error:/.test(line));
    findings.check("Node has said nothing of its own", stderr.length === 0, stderr.join("\n"));
  },
};
