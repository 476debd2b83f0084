import { limits } from "../base/limits.ts";
import type { FileRecord } from "./records.ts";
import type { FileMeta } from "./types.ts";

/** The names with this one in front, without repeats, at most `limits.namesPerFile`. */
export function withName(names: readonly string[], name: string | undefined): readonly string[] {
  if (name === undefined || names[0] === name) return names;
  return [name, ...names.filter((other) => other !== name)].slice(0, limits.namesPerFile);
}

/** What is known of a file after the same content came once more. Once public, it is public. */
export function mergeMeta(record: FileRecord, meta: FileMeta): FileRecord {
  const { name, scope, ...rest } = meta;
  return {
    ...rest,
    ...record,
    names: withName(record.names, name),
    scope: scope === "public" ? "public" : record.scope,
  };
}
