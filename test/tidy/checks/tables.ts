/** Tables of the program whose every row must have an effect, and the papers made from them. */
import ts from "typescript";
import { below } from "../tree.ts";
import type { Tree } from "../tree.ts";

/** Papers that differ from what their tables would give now. */
export function stalePapers(files: Tree, made: ReadonlyMap<string, string>): string[] {
  return [...made].flatMap(([path, text]) =>
    files.get(path) === text ? [] : [`${path}: run npm run gen`],
  );
}

export interface OptionUse {
  readonly section: string;
  /** In the file. */
  readonly name?: string;
  readonly property: string;
}

/**
 * Options that nothing reads. Read counts a property access or a destructuring by the property's
 * name, in any room but those that define and show options, and `section/name` in the program that
 * apt asks.
 */
export function unreadOptions(files: Tree, options: readonly OptionUse[]): string[] {
  const read = new Set<string>();
  for (const [path, text] of below(files, "src/", ".ts")) {
    if (/^src\/(config|cli)\//.test(path)) continue;
    const visit = (node: ts.Node): void => {
      if (ts.isPropertyAccessExpression(node)) read.add(node.name.text);
      if (ts.isBindingElement(node)) read.add((node.propertyName ?? node.name).getText());
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  }
  const probe = files.get("etc/apt-proxy") ?? "";
  return options.flatMap(({ section, name = "", property }) =>
    read.has(property) || new RegExp(`\\b${section}/${name}\\)`).test(probe)
      ? []
      : [`config.${section}.${property}`],
  );
}

/** Entries of `limits` and `dhtLimits` that nothing obeys. */
export function unusedLimits(files: Tree): string[] {
  return Object.entries(limitTables).flatMap(([own, table]) => {
    const text = files.get(own) ?? "";
    const names = [...text.matchAll(/^ {2}(\w+):/gm)].map(([, name = ""]) => name);
    const others = below(files, "src/", ".ts").filter(([path]) => path !== own);
    const taken = new RegExp(`\\{([^{}]*)\\} = ${table}\\b`, "g");
    const used = (name: string) => (text: string) =>
      new RegExp(`\\b${table}\\.${name}\\b`).test(text) ||
      [...text.matchAll(taken)].some(([, list = ""]) => new RegExp(`\\b${name}\\b`).test(list));
    return names.filter((name) => !others.some(([, other]) => used(name)(other)));
  });
}

const limitTables = { "src/base/limits.ts": "limits", "src/base/dht-limits.ts": "dhtLimits" };

/** Source files of more than 500 lines. */
export function longFiles(files: Tree): string[] {
  return below(files, "src/", ".ts").flatMap(([path, text]) => {
    const count = text.split("\n").length - 1;
    return count > 500 ? [`${path}: ${count} lines`] : [];
  });
}

/** Source files in which no declaration, nor the file itself, says what it is. */
export function headless(files: Tree): string[] {
  return below(files, "src/", ".ts").flatMap(([path, text]) =>
    /^\/\*\*/m.test(text) ? [] : [path],
  );
}
