/**
 * What a source file imports, read with the compiler's own parser, and the rules about it: the
 * import table of the rooms, no cycles, no dead files, only declared packages.
 */
import { posix } from "node:path";
import ts from "typescript";
import { below } from "../tree.ts";
import type { Tree } from "../tree.ts";

export interface Import {
  /** As written: `../base/errors.ts`, `node:fs`, `express`. */
  readonly specifier: string;
  /** Only types: nothing is left of it at run time. */
  readonly typeOnly: boolean;
  /** The file in the repository; undefined for packages. */
  readonly path: string | undefined;
}

export function importsOf(path: string, text: string): Import[] {
  // The quick scan of the compiler finds every import, but not which are of types alone.
  const { importedFiles } = ts.preProcessFile(text, true, true);
  if (importedFiles.length === 0) return [];
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const imports: Import[] = [];
  const add = (node: ts.Node, typeOnly: boolean): void => {
    if (!ts.isStringLiteral(node)) return;
    const local = node.text.startsWith(".");
    const target = local ? posix.join(posix.dirname(path), node.text) : undefined;
    imports.push({ specifier: node.text, typeOnly, path: target });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node))
      add(node.moduleSpecifier, importsTypesOnly(node.importClause));
    if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
      add(node.moduleSpecifier, exportsTypesOnly(node));
    }
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true);
    }
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments;
      if (argument) add(argument, false);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return imports;
}

function importsTypesOnly(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const { name, namedBindings } = clause;
  if (name !== undefined || namedBindings === undefined) return false;
  if (!ts.isNamedImports(namedBindings) || namedBindings.elements.length === 0) return false;
  return namedBindings.elements.every((element) => element.isTypeOnly);
}

function exportsTypesOnly(node: ts.ExportDeclaration): boolean {
  if (node.isTypeOnly) return true;
  const clause = node.exportClause;
  if (clause === undefined || !ts.isNamedExports(clause)) return false;
  return clause.elements.length > 0 && clause.elements.every((element) => element.isTypeOnly);
}

/** What a room may import: rooms, `room (T)` for their types alone, `ports (T)` for any ports.ts. */
export type ImportTable = Readonly<Record<string, readonly string[]>>;

export const importTable: ImportTable = {
  base: [],
  bencode: ["base"],
  krpc: ["base", "bencode"],
  dht: ["base", "krpc"],
  archive: ["base"],
  cache: ["base"],
  swarm: ["base", "bencode"],
  config: ["base"],
  engine: ["base", "bencode", "krpc", "dht", "archive", "cache", "swarm", "config (T)"],
  io: ["base", "ports (T)"],
  status: ["base", "engine (T)", "archive (T)", "cache (T)"],
  proxy: ["base", "archive", "engine", "status"],
  daemon: [
    ...["base", "bencode", "krpc", "dht", "archive", "cache", "swarm", "config", "engine"],
    ...["io", "status", "proxy"],
  ],
  cli: ["base", "config", "daemon"],
  sim: [...["base", "bencode", "krpc", "dht", "archive", "cache", "swarm", "config", "engine"]],
};

export function wrongImports(files: Tree, table: ImportTable): string[] {
  return below(files, "src/", ".ts").flatMap(([path, text]) => {
    const room = roomOf(path);
    const allowed = Object.hasOwn(table, room) ? table[room] : undefined;
    if (allowed === undefined) return [`${path}: ${room} is no room of the import table`];
    return importsOf(path, text).flatMap((each) => {
      if (each.path === undefined) return [];
      const name = `${path} imports ${each.specifier}${each.typeOnly ? " (types)" : ""}`;
      if (!each.path.startsWith("src/")) return [`${name}: it lies outside of src`];
      return mayImport({ room, allowed }, each)
        ? []
        : [`${name}: ${room} may import ${allowed.join(", ") || "nothing"}`];
    });
  });
}

function mayImport(
  { room, allowed }: { room: string; allowed: readonly string[] },
  { path = "", typeOnly }: Import,
): boolean {
  const target = roomOf(path);
  if (target === room || allowed.includes(target)) return true;
  if (!typeOnly) return false;
  return (
    allowed.includes(`${target} (T)`) ||
    (allowed.includes("ports (T)") && posix.basename(path) === "ports.ts")
  );
}

function roomOf(path: string): string {
  return path.split("/")[1] ?? "";
}

/** Files that import one another in a circle, types included: one such circle per line. */
export function cycles(files: Tree): string[] {
  const graph = new Map(
    below(files, "src/", ".ts").map(([path, text]) => [
      path,
      importsOf(path, text).flatMap((each) => each.path ?? []),
    ]),
  );
  const found = new Set<string>();
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start !== -1) {
      const circle = trail.slice(start);
      // A circle has one name, wherever it was entered.
      const first = circle.indexOf([...circle].sort()[0] ?? "");
      const named = [...circle.slice(first), ...circle.slice(0, first)];
      found.add([...named, named[0]].join(" → "));
    }
    if (start !== -1 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return [...found];
}

/** Source files that nothing uses: neither the program nor a test, a bench or a script. */
export function deadFiles(files: Tree): string[] {
  const program = "src/cli/main.ts";
  const pending = [...files.keys()].filter(
    (path) => path === program || (/\.(ts|mjs)$/.test(path) && !path.startsWith("src/")),
  );
  const alive = new Set<string>();
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const text = files.get(path);
    if (text === undefined || alive.has(path)) continue;
    alive.add(path);
    pending.push(...importsOf(path, text).flatMap((each) => each.path ?? []));
  }
  // Declarations of packages without types are found by the compiler, not by an import.
  return below(files, "src/", ".ts").flatMap(([path]) =>
    alive.has(path) || path.endsWith(".d.ts") ? [] : [path],
  );
}

/** Packages that src imports although package.json does not promise them to who installs it. */
export function undeclaredPackages(files: Tree): string[] {
  const manifest = JSON.parse(files.get("package.json") ?? "{}") as { dependencies?: object };
  const declared = Object.keys(manifest.dependencies ?? {});
  return below(files, "src/", ".ts").flatMap(([path, text]) =>
    importsOf(path, text).flatMap(({ specifier, path: local, typeOnly }) => {
      if (local !== undefined || typeOnly || specifier.startsWith("node:")) return [];
      const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
      return declared.includes(name) ? [] : [`${path} imports ${specifier}`];
    }),
  );
}
