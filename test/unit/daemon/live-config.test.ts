import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { optionRows } from "../../../src/config/options.ts";
import { parseConfig, type ConfigResult } from "../../../src/config/parse.ts";
import { LiveConfig } from "../../../src/daemon/live-config.ts";

function read(text: string): ConfigResult {
  const files = [{ path: "apt-p2p.conf", text }];
  return parseConfig({ files, environment: {}, flags: {}, context: { isRoot: true } });
}

function live(text = "") {
  const result = read(text);
  assert.ok(result.problems === undefined);
  const said: string[] = [];
  const say = (event: string, fields: object = {}): void =>
    void said.push([event, ...Object.values<unknown>({ ...fields })].join(" "));
  const made = new LiveConfig(result.config);
  const log = { debug: say, info: say, warn: say, error: say };
  const heard = { count: 0 };
  made.onChange(() => heard.count++);
  return { live: made, said, heard, log, reload: (next: string) => made.reload(read(next), log) };
}

describe("LiveConfig", () => {
  it("takes over every option that is marked so, and no other", () => {
    // For each option some text that is not its default.
    const other: Record<string, string> = {
      ...{ port: "1234", bind: "127.0.0.1", allow: "192.0.2.0/24", hosts: "a.example.org" },
      ...{ https_hosts: "b.example.org", allow_upstreams: "c.example.org", serve_stale: "yes" },
      ...{ direct_hosts: "d.example.org", apt_config_dir: "/x", apt_lists_dir: "/y" },
      ...{ cache_dir: "/c", state_dir: "/s", quota: "1GB", keep_free: "1GB", offer_dirs: "/o" },
      ...{ network: "lan", enabled: "no", udp_port: "4321", udp_bind: "127.0.0.1" },
      ...{ bootstrap: "192.0.2.1:1", lan_discovery: "no", share: "all", lookup_min_size: "1MB" },
      ...{ upload_hours: "22:00-06:30", neighbours: "192.0.2.2:2", map_port: "yes" },
      ...{ level: "debug", requests: "no" },
    };
    for (const row of optionRows) {
      const { name, section, option, property } = row;
      const bySuffix = { Ms: "2s", Bytes: "3MB", "": "3" };
      const text = other[name] ?? bySuffix[option.kind.suffix];
      const { live: made, reload, said, heard } = live();
      const value = (): unknown =>
        (made.now as unknown as Record<string, Record<string, unknown>>)[section]?.[property];
      const before = value();
      reload(`[${section}]\n${name} = ${text}\n`);
      const taken = option.reloadable === true || section === "apt";
      assert.equal(
        JSON.stringify(value()) !== JSON.stringify(before),
        taken,
        `${name}: ${said.join()}`,
      );
      assert.equal(heard.count, taken ? 1 : 0, name);
      const label = `[${section}] ${name}`;
      const expected = taken
        ? [`reloaded ${label}`]
        : ["reloaded nothing", `reload.needs-restart ${label}`];
      assert.deepEqual(
        said.filter((line) => !line.startsWith("reload.warning")),
        expected,
      );
    }
  });

  it("keeps everything when anything is wrong, and says what", () => {
    const { live: made, reload, said, heard } = live("[log]\nlevel = warn\n");
    reload("[log]\nlevel = debug\nrequests = perhaps\n[peers]\nupload_slots = many\n");
    assert.equal(made.now.log.level, "warn");
    assert.equal(heard.count, 0);
    assert.equal(said.length, 3);
    assert.match(said[0] ?? "", /^reload\.problem apt-p2p\.conf:3: \[log\] requests = "perhaps"/);
    assert.match(said[1] ?? "", /^reload\.problem apt-p2p\.conf:5: \[peers\] upload_slots/);
    assert.match(said[2] ?? "", /^reload\.refused 2 /);
  });

  it("tells all listeners, whatever one of them does", () => {
    const { live: made, log, reload, said } = live();
    let told = 0;
    made.onChange(() => {
      throw new Error("a listener that fails");
    });
    made.onChange(() => told++);
    reload("[log]\nlevel = debug\n");
    assert.equal(told, 1);
    assert.deepEqual(said.slice(1), ["reload.failed a listener that fails"]);
    made.reload(read(""), log);
    assert.equal(made.now.log.level, "info");
  });

  it("goes back to the default when an option is taken out of the file", () => {
    const { live: made, reload } = live("[peers]\nupload_rate = 5MB\n");
    reload("");
    assert.equal(made.now.peers.uploadRateBytes, 1_000_000);
  });
});
