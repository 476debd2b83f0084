/**
 * A module of src as the build makes it: for what runs in a thread of its own, where nothing compiles
 * TypeScript.
 */
import { build } from "esbuild";
import { basename, join } from "node:path";
import { scratchDirectory } from "./scratch.ts";

/** `entry` below the repository's root → the path of the compiled file, until `remove`. */
export async function bundle(entry: string): Promise<{ path: string; remove: () => void }> {
  const { path, remove } = scratchDirectory("bundle");
  await build({
    ...{ entryPoints: [entry], outdir: path, bundle: true, splitting: true, platform: "node" },
    ...{ format: "esm", target: "node20", outExtension: { ".js": ".mjs" }, logLevel: "error" },
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
  });
  return { path: join(path, `${basename(entry, ".ts")}.mjs`), remove };
}
