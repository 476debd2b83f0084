// Builds the Debian package into build/, from a copy of the sources, so that the clone stays clean.
// What npm has fetched here is used again. `--system-node` makes the flavour without Node.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const build = join(root, "build");
const { values: options } = parseArgs({ options: { "system-node": { type: "boolean" } } });

run("node", [".ci/setup.mjs"], root);
fs.rmSync(build, { recursive: true, force: true });
const copy = join(build, "source");
for (const path of sources()) {
  fs.mkdirSync(dirname(join(copy, path)), { recursive: true });
  fs.cpSync(join(root, path), join(copy, path), { preserveTimestamps: true });
}
// As links: a hundred megabytes that the build only reads.
for (const made of ["node_modules", "dist"]) run("cp", ["-al", made, join(copy, made)], root);
const profiles = options["system-node"] ? ["--build-profiles=pkg.apt-p2p.system-node"] : [];
run("dpkg-buildpackage", ["-b", "-us", "-uc", "-nc", ...profiles], copy);
fs.rmSync(copy, { recursive: true });

for (const name of fs.readdirSync(build).filter((file) => file.endsWith(".deb"))) {
  const path = join(build, name);
  const bytes = fs.readFileSync(path);
  const installed = execFileSync("dpkg-deb", ["-f", path, "Installed-Size"], { encoding: "utf8" });
  const sizes = `${(bytes.length / 1e6).toFixed(1)} MB, ${Number(installed) / 1e3} MB installed`;
  console.log(`build/${name}: ${sizes}, SHA-256 ${hash(bytes)}`);
}

/** What a clone would have, with the changes that are not committed yet. */
function sources() {
  const words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  let list;
  try {
    list = execFileSync("git", words, {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", 2],
    });
  } catch {
    console.error("This is no clone. Without git run: dpkg-buildpackage -us -uc -b");
    process.exit(1);
  }
  return [...new Set(list.split("\0"))].filter((path) => path && fs.existsSync(join(root, path)));
}

function hash(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function run(program, words, directory) {
  const { error, status, signal } = spawnSync(program, words, {
    cwd: directory,
    stdio: ["ignore", 2, 2],
  });
  if (error?.code === "ENOENT") {
    console.error(`${program} is missing: apt-get install debhelper dpkg-dev`);
    process.exit(1);
  }
  if (error) throw error;
  if (status === 0) return;
  console.error(`${program} ${words.join(" ")} failed (exit ${status ?? signal}).`);
  process.exit(1);
}
