// Sets up a clone: installs the locked packages and compiles, each only when something changed.
// `--test` also checks for the programs that the tests drive (apt, gpg, xz, …).
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampDir = join(root, "node_modules", ".cache", "apt-p2p");

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    console.error(`${command} ${args.join(" ")} failed (exit ${result.status ?? result.signal}).`);
    process.exit(1);
  }
}

function files(directory) {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = `${directory}/${entry.name}`;
    return entry.isDirectory() ? files(path) : [path];
  });
}

function fingerprint(paths) {
  const hash = createHash("sha256").update(process.version);
  for (const path of paths)
    hash
      .update(path)
      .update("\0")
      .update(readFileSync(join(root, path)));
  return hash.digest("hex");
}

function once(name, paths, proof, action) {
  const stamp = join(stampDir, name);
  const now = fingerprint(paths);
  if (existsSync(proof) && existsSync(stamp) && readFileSync(stamp, "utf8") === now) return;
  action();
  mkdirSync(stampDir, { recursive: true });
  writeFileSync(stamp, now);
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`apt-p2p needs Node.js 20.19 or newer; this is ${process.version}.`);
  process.exit(1);
}
once("install", ["package.json", "package-lock.json"], join(root, "node_modules", "level"), () => {
  console.error("Installing the locked packages (npm ci) …");
  run("npm", ["ci", "--no-audit", "--no-fund"]);
});
const sources = files("src").filter((path) => path.endsWith(".ts"));
once(
  "build",
  [...sources, "tsconfig.json", ".ci/build.mjs", "package-lock.json"],
  join(root, "dist", "cli", "main.js"),
  () => {
    console.error("Compiling …");
    run("npm", ["run", "--silent", "build"]);
  },
);

if (process.argv.includes("--test")) {
  // What a scenario needs beyond Node: [program, Debian package].
  const needed = [
    ["apt-get", "apt"],
    ["dpkg-deb", "dpkg"],
    ["gpg", "gpg"],
    ["gpgv", "gpgv"],
    ["xz", "xz-utils"],
    ["bzip2", "bzip2"],
    ["zstd", "zstd"],
    ["lz4", "lz4"],
  ];
  const path = (process.env.PATH ?? "").split(":");
  const missing = needed.filter(
    ([program]) =>
      !path.some((dir) => existsSync(join(dir, program)) && statSync(join(dir, program)).isFile()),
  );
  if (missing.length > 0) {
    const packages = missing.map(([, name]) => name).join(" ");
    if (process.getuid?.() !== 0) {
      console.error(`The tests drive real programs; please run: sudo apt-get install ${packages}`);
      process.exit(1);
    }
    console.error(`Installing what the tests drive: ${packages}`);
    run("env", [
      "DEBIAN_FRONTEND=noninteractive",
      "sh",
      "-c",
      `apt-get update -q; apt-get install -qy --no-install-recommends ${packages}`,
    ]);
  }
}
