import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import {
  cleanedView,
  fileView,
  hasDamage,
  importedView,
  statsView,
  verifiedView,
} from "../../../src/cli/cache-view.ts";
import { Progress } from "../../../src/cli/progress.ts";
import { statusView } from "../../../src/cli/status-view.ts";
import { whyView } from "../../../src/cli/why-view.ts";

const nowMs = Date.UTC(2026, 0, 2);

describe("statusView()", () => {
  it("tells what the router has given, or why not", () => {
    const router = (facts: object): string =>
      /^ {2}Router +(.*)$/m.exec(statusView({ router: facts }))?.[1] ?? "";
    const mappings = [
      { protocol: "TCP", port: 9977, externalPort: 9977 },
      { protocol: "UDP", port: 9977, externalPort: 9977 },
    ];
    const mapped = { state: "mapped", by: "NAT-PMP", mappings };
    assert.equal(router(mapped), "passes TCP 9977 and UDP 9977 on, by NAT-PMP");
    const nested = router({ ...mapped, problem: "it is behind another" });
    assert.match(nested, /by NAT-PMP, but it is behind another$/);
    assert.equal(router({ state: "failed", reason: "no answer" }), "gave no ports: no answer");
    assert.equal(router({ state: "asking" }), "is being asked for ports");
    assert.equal(router({ state: "off" }), "");
  });

  it("shows every part that has news, aligned", () => {
    const text = statusView({
      version: "0.1.0",
      pid: 42,
      uptimeMs: 93_784_000,
      listening: ["127.0.0.1:9977", "[::1]:9977"],
      counters: { "proxy.requests": 7 },
      bytes: { fromCache: 75e6, fromMirror: 25e6, passedThrough: 0, toClients: 100e6 },
      store: { files: 1234, bytes: 5e9, quotaBytes: 1e10, unfinishedFiles: 2 },
      archive: {
        releases: [
          {
            name: "ftp.us.debian.org/debian/dists/trixie",
            trust: "verified",
            dateMs: nowMs,
            tables: 1,
            rows: 2,
          },
        ],
        tables: 3,
        rows: 68825,
      },
      downloads: [{ name: "h/pool/a.deb", receivedBytes: 1e6, sizeBytes: 4e6, waiters: 2 }],
      memory: { rssBytes: 85e6 },
    });
    assert.equal(
      text,
      `apt-p2p 0.1.0, running for 1 d 2 h, process 42

  Listening  127.0.0.1:9977, [::1]:9977
  Store      1,234 files, 5.0 GB of 10.0 GB (50 %), 2 unfinished
  Catalogue  68,825 files known from 3 indexes
  Memory     85.0 MB

Traffic
  from the cache  75.0 MB  75 %
  from peers          0 B   0 %
  from mirrors    25.0 MB  25 %
  passed through      0 B   0 %
  to clients       100 MB
  to peers            0 B

Releases
  ftp.us.debian.org/debian/dists/trixie  verified  2026-01-02  1 index, 2 files

Downloads
  a.deb  1.0 MB of 4.0 MB  25 %  2 clients
`,
    );
  });
  it("leaves out what a fresh daemon has no news of", () => {
    const text = statusView({
      version: "0.1.0",
      uptimeMs: 0,
      bytes: { toClients: 0 },
      downloads: [],
    });
    assert.equal(text.trimEnd(), "apt-p2p 0.1.0, running for 0 s");
  });
});

describe("whyView()", () => {
  it("shows digest, trust, provenance and what is held", () => {
    const text = whyView(
      {
        url: "http://ftp.us.debian.org/debian/pool/a.deb",
        kind: { kind: "index", of: "packages" },
        expectations: [
          {
            sha256: "ab".repeat(32),
            sizeBytes: 1_234_567,
            trust: "verified",
            listedIn: "ftp.us.debian.org/debian/dists/trixie/main/binary-amd64/Packages",
            release: "ftp.us.debian.org/debian/dists/trixie/InRelease",
            signedBy: ["ABCD", "EF01"],
          },
        ],
        held: {
          sha256: "ab".repeat(32),
          sizeBytes: 1_234_567,
          verifiedAt: new Date(nowMs - 7_200_000).toISOString(),
          path: "/c/ab",
        },
        releases: [{ name: "y/Release", trust: "unverified", note: "no key", tables: 0, rows: 0 }],
        refused: [{ name: "x/InRelease", reason: "bad signature", atMs: nowMs - 60_000 }],
        notes: ["an older one is held"],
      },
      nowMs,
    );
    assert.equal(
      text,
      `http://ftp.us.debian.org/debian/pool/a.deb
  Kind         index of packages
  Digest       SHA-256 ${"ab".repeat(32)}
    Size       1.2 MB (1,234,567 bytes)
    Trust      a Release with a good signature vouches for it
    Listed in  ftp.us.debian.org/debian/dists/trixie/main/binary-amd64/Packages
    Release    ftp.us.debian.org/debian/dists/trixie/InRelease
    Signed by  ABCD, EF01
  Held         yes, 1.2 MB, checked 2 h ago, /c/ab

Releases known of this host
  y/Release  unverified    no index read  no key

Refused
  x/InRelease  1 min ago  bad signature

Notes
  an older one is held
`,
    );
  });
  it("says that nothing is known", () => {
    const text = whyView({ url: "http://x/y", expectations: [], held: null, notes: [] }, nowMs);
    assert.match(text, /Digest +not known/);
    assert.match(text, /Held +no$/m);
  });
});

describe("cache views", () => {
  it("show a file on one line, with the newest name or the path", () => {
    const file = { sha256: "ab", sizeBytes: 1, lastUsedMs: nowMs, path: "/a/b.deb", owned: false };
    assert.match(fileView(file, nowMs), /^ +1 B {2}just now +ab {2}\/a\/b\.deb {2}\(offered\)\n$/);
  });
  it("show no path for a file of our own, which would be its digest again", () => {
    const file = { sha256: "ab", sizeBytes: 1, path: "/c/sha256/ab/ab", owned: true, names: [] };
    assert.match(fileView(file, nowMs), / {2}ab {2}\(no name\)\n$/);
  });
  it("show how full the store is", () => {
    const stats = {
      ...{ files: 1234, bytes: 5e9, quotaBytes: 1e10, freeBytes: 84e9, keepFreeBytes: 5e8 },
      ...{ offeredFiles: 20, offeredBytes: 3e8, unfinishedFiles: 0, unfinishedBytes: 0 },
    };
    assert.equal(
      statsView(stats),
      "  Stored files      1,234   5.0 GB  of 10.0 GB (50 %)\n" +
        "  Offered files        20   300 MB  in other directories\n" +
        "  Unfinished files      0      0 B\n" +
        "  Free on the disk         84.0 GB  500 MB of them to stay free\n",
    );
  });
  it("show what verify met", () => {
    const intact = { files: 1200, bytes: 3e6, damaged: [], missing: [], aborted: false };
    assert.equal(verifiedView(intact), "Verified 1,200 files, 3.0 MB: all intact\n");
    assert.equal(
      verifiedView({ ...intact, damaged: ["ab"], missing: ["cd", "ef"] }),
      "Verified 1,200 files, 3.0 MB: 1 damaged; 2 missing, no longer held\n" +
        "  damaged  ab\n  missing  cd\n  missing  ef\n",
    );
  });
  it("show what clean removed and what it left", () => {
    assert.equal(cleanedView({ files: 1, bytes: 10, inUse: 0 }), "Removed 1 file, 10 B\n");
    assert.equal(cleanedView({ inUse: 2 }), "Removed 0 files, 0 B; 2 in use and kept\n");
  });
  it("show what import took in and what it could not", () => {
    const failed = [{ path: "/a", reason: "not a file" }];
    assert.equal(
      importedView({ files: 3, bytes: 3e6, linked: 2, alreadyHeld: 1, failed }),
      "Imported 3 files, 3.0 MB; 2 of them linked, not copied; 1 held already; 1 failed\n" +
        "  /a: not a file\n",
    );
  });
  it("tell damage from none", () => {
    for (const result of [{ damaged: ["x"] }, { missing: ["x"] }]) assert.ok(hasDamage(result));
    for (const result of [undefined, {}, { damaged: [], missing: [] }])
      assert.ok(!hasDamage(result));
  });
});

describe("views", () => {
  it("print something harmless for any JSON", () => {
    const known = fc.constantFrom(
      "store",
      "bytes",
      "archive",
      "releases",
      "rows",
      "downloads",
      "held",
      "expectations",
      "listening",
      "uptimeMs",
      "names",
      "date",
      "damaged",
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 4 },
        fc.double(),
        fc.string({ unit: "binary" }),
        fc.constant(null),
        fc.boolean(),
        fc.array(tie("any"), { maxLength: 3 }),
        fc.dictionary(known, tie("any"), { maxKeys: 5 }),
      ),
    })).any;
    fc.assert(
      fc.property(value, (json) => {
        const texts = [
          statusView(json),
          whyView(json, nowMs),
          statsView(json),
          fileView(json, nowMs),
          verifiedView(json),
          cleanedView(json),
          importedView(json),
        ];
        for (const text of texts) assert.doesNotMatch(text.replaceAll("\n", ""), /\p{Cc}/u);
      }),
      { seed: 4, numRuns: 500 },
    );
  });
});

describe("Progress", () => {
  it("writes at most ten lines a second, over one another, none longer than the terminal", () => {
    let written = "";
    let now = 0;
    const err = {
      write: (text: string) => void (written += text),
      writeBytes: () => Promise.reject(new Error("no bytes go there")),
      ...{ isTerminal: true, columns: 40 },
    };
    const progress = new Progress("Work", { err, wallMs: () => now });
    progress.show({ done: 1, total: 10, note: "n".repeat(100) });
    now = 50;
    progress.show({ done: 2, total: 10 });
    assert.equal(written.split("\r").length, 2);
    assert.equal(written.length, 40);
    now = 10_000;
    progress.show({ done: 5, total: 10 });
    const last = written.split("\r").at(-1) ?? "";
    assert.equal(last.trimEnd(), "Work: 50 %, 5 of 10 files, 10 s left");
    assert.equal(last.length, 39);
    progress.clear();
    progress.clear();
    assert.equal(written.split("\r").at(-1), "");
  });
});
