// Fills the package's private directory with what runs, and nothing else: the bundle, the native
// part of LevelDB for one architecture, and Node. Writes the licences of all that was taken.
//
//   node debian/bundle.mjs --arch ARCH [--system-node] LIBRARY LICENCES
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";

/** Debian's name of an architecture → where classic-level has its native part ready-made. */
const prebuilds = { amd64: "linux-x64", arm64: "linux-arm64", armhf: "linux-arm" };

/** Native parts for another C library or another processor than Debian's architecture has. */
const foreign = /\.(?:musl|armv6)\.node$/;

/** Loaded as it is, because its native part is found beside it. */
const native = "classic-level";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { arch: { type: "string" }, "system-node": { type: "boolean", default: false } },
});
const [library, licences] = positionals;
if (options.arch === undefined || licences === undefined) fail("see its first lines for usage");

fs.rmSync(library, { recursive: true, force: true });
copyBundle();
const apart = await copyNativePackage(options.arch);
if (options["system-node"]) {
  fs.symlinkSync("../../bin/node", join(library, "node"));
} else {
  copyNode(options.arch);
}
fs.mkdirSync(dirname(licences), { recursive: true });
fs.writeFileSync(
  licences,
  [...licencesOf(apart), ...nodeLicence()].join(`\n${"=".repeat(78)}\n\n`),
);

function copyBundle() {
  for (const name of fs.readdirSync("dist/cli")) {
    copy(join("dist/cli", name), join(library, "cli", name));
  }
  // Only /usr/bin/apt-p2p starts it.
  const main = join(library, "cli/main.js");
  fs.writeFileSync(main, fs.readFileSync(main, "utf8").replace(/^#!.*\n/, ""));
  // Node takes its type from here; nothing else in it is read.
  fs.writeFileSync(join(library, "package.json"), '{ "type": "module" }\n');
}

/** The JavaScript files that `native` reaches, and its native part. → directories of packages. */
async function copyNativePackage(arch) {
  const { metafile } = await build({
    entryPoints: [native],
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    logLevel: "error",
    outdir: "nowhere",
  });
  const reached = Object.keys(metafile.inputs);
  const packages = [...new Set(reached.map(packageOf))];
  for (const path of reached) copy(path, join(library, path));
  for (const directory of packages) {
    const { name, version, type, main, exports } = manifest(directory);
    const kept = JSON.stringify({ name, version, type, main, exports });
    fs.writeFileSync(join(library, directory, "package.json"), `${kept}\n`);
  }
  const directory = join("node_modules", native);
  const parts = nativeParts(directory, arch);
  if (parts.length === 0) fail(`${native} has no native part for ${arch}`);
  for (const part of parts) copy(part, join(library, part));
  return packages;
}

/** What npm compiled here comes before what its authors compiled, as when Node looks for it. */
function nativeParts(directory, arch) {
  const compiled = join(directory, "build/Release");
  const ready = join(directory, "prebuilds", prebuilds[arch] ?? arch);
  if (isBuildMachine(arch) && fs.existsSync(compiled)) return nodeFiles(compiled);
  return fs.existsSync(ready) ? nodeFiles(ready).filter((path) => !foreign.test(path)) : [];
}

function nodeFiles(directory) {
  return fs
    .readdirSync(directory)
    .filter((name) => name.endsWith(".node"))
    .map((name) => join(directory, name));
}

/** The Node that runs this: its version is checked by .ci/setup.mjs. */
function copyNode(arch) {
  if (!isBuildMachine(arch)) {
    fail(`the Node of this machine does not run on ${arch}: build there, or with --system-node`);
  }
  if (process.config.variables.node_shared === true) {
    fail(
      "this Node is but a loader of libnode: build with a self-contained Node, or --system-node",
    );
  }
  copy(fs.realpathSync(process.execPath), join(library, "node"));
  fs.chmodSync(join(library, "node"), 0o755);
}

function isBuildMachine(arch) {
  return execFileSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).trim() === arch;
}

/** One text per package: those in the bundle, and those beside it. */
function licencesOf(apart) {
  const inside = JSON.parse(fs.readFileSync("dist/packages.json", "utf8"));
  return [...new Set([...inside, ...apart])].sort().map((directory) => {
    const { name, version, license, author } = manifest(directory);
    const texts = licenceTexts(directory);
    // Few packages come without a text; their manifest is then all that they say.
    const by =
      texts.length > 0 ? "" : `By ${author?.name ?? author}; no text of the licence given.\n`;
    return `${name} ${version} (${license})\n\n${by}${texts.join("\n")}`;
  });
}

function licenceTexts(directory) {
  const files = licenceFiles(directory);
  if (basename(directory) === native) {
    // The libraries inside its native part.
    files.push(
      ...["leveldb/leveldb-1.20", "snappy/snappy"].flatMap((part) =>
        licenceFiles(join(directory, "deps", part)),
      ),
    );
  }
  return files.map((file) => fs.readFileSync(file, "utf8").trim() + "\n");
}

function licenceFiles(directory) {
  return fs
    .readdirSync(directory)
    .filter((name) => /^(?:licen[cs]e|copying|notice)/i.test(name))
    .sort()
    .map((name) => join(directory, name));
}

function nodeLicence() {
  if (options["system-node"]) return [];
  const prefix = dirname(dirname(fs.realpathSync(process.execPath)));
  const places = ["LICENSE", "share/doc/nodejs/LICENSE", "share/doc/nodejs/copyright"];
  const found = places.map((place) => join(prefix, place)).find((path) => fs.existsSync(path));
  if (found === undefined) fail(`no licence of Node in ${prefix}: ${places.join(", ")}`);
  return [`Node.js ${process.version}\n\n${fs.readFileSync(found, "utf8")}`];
}

/** node_modules/a/b.js → node_modules/a; the innermost of nested ones. */
function packageOf(path) {
  const [directory] = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? fail(`whose is ${path}?`);
  return directory;
}

function manifest(directory) {
  return JSON.parse(fs.readFileSync(join(directory, "package.json"), "utf8"));
}

function copy(from, to) {
  fs.mkdirSync(dirname(to), { recursive: true });
  fs.copyFileSync(from, to);
  fs.chmodSync(to, 0o644);
}

function fail(message) {
  console.error(`bundle.mjs: ${message}`);
  process.exit(1);
}
