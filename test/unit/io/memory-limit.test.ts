import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { memoryLimitBytes } from "../../../src/io/memory-limit.ts";

function limit(files: Readonly<Record<string, string>>): number | undefined {
  return memoryLimitBytes((path) => {
    const text = files[path];
    if (text === undefined) throw new Error(`ENOENT: ${path}`);
    return text;
  });
}

describe("memoryLimitBytes()", () => {
  const unit = "/sys/fs/cgroup/system.slice/apt-p2p.service";

  it("is what systemd's MemoryMax sets, or MemoryHigh if that is less", () => {
    const self = { "/proc/self/cgroup": "0::/system.slice/apt-p2p.service\n" };
    assert.equal(limit({ ...self, [`${unit}/memory.max`]: "536870912\n" }), 536_870_912);
    const high = { [`${unit}/memory.max`]: "536870912\n", [`${unit}/memory.high`]: "400\n" };
    assert.equal(limit({ ...self, ...high }), 400);
  });

  it("is the least of all groups around", () => {
    const files = {
      "/proc/self/cgroup": "0::/system.slice/apt-p2p.service\n",
      [`${unit}/memory.max`]: "max\n",
      [`${unit}/memory.high`]: "max\n",
      "/sys/fs/cgroup/system.slice/memory.max": "1000\n",
      "/sys/fs/cgroup/memory.max": "3000\n",
    };
    assert.equal(limit(files), 1000);
  });

  it("is found in version 1, where a huge number means none", () => {
    const self = "12:cpuset:/\n4:memory,hugetlb:/a/b\n1:name=systemd:/\n0::/\n";
    const below = "/sys/fs/cgroup/memory";
    const files = {
      "/proc/self/cgroup": self,
      [`${below}/memory.limit_in_bytes`]: "9223372036854771712\n",
      [`${below}/a/memory.limit_in_bytes`]: "268435456\n",
      [`${below}/a/b/memory.limit_in_bytes`]: "9223372036854771712\n",
    };
    assert.equal(limit(files), 268_435_456);
  });

  it("is unknown where nothing tells it", () => {
    assert.equal(limit({}), undefined);
    assert.equal(limit({ "/proc/self/cgroup": "" }), undefined);
    assert.equal(
      limit({ "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "max" }),
      undefined,
    );
    assert.equal(limit({ "/proc/self/cgroup": "nonsense\n0::relative\n" }), undefined);
  });
});
