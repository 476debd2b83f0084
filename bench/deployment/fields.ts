/**
 * Strict reading of JSON: each field is read by a function that gives its value or throws a
 * `ScenarioProblem` with the path of what is wrong and what is accepted there. Nothing is ignored:
 * an unknown key is an error, with the key that was probably meant.
 */
import type { Kind, Parsed } from "../../src/config/kinds.ts";
import { suggest } from "../../src/config/suggest.ts";

/** What is wrong with a file that a user wrote; its message is all that they need. */
export class ScenarioProblem extends Error {}

export type Field<T> = (value: unknown, path: string) => T;

interface Member<T> {
  readonly read: Field<T>;
  /** What it is when it is not given; undefined: it must be given. */
  readonly otherwise: (() => T) | undefined;
}

export type Shape = Readonly<Record<string, Member<unknown>>>;
export type Values<S extends Shape> = {
  readonly [K in keyof S]: S[K] extends Member<infer T> ? T : never;
};

export function refuse(path: string, value: unknown, accepted: string): never {
  const got = value === undefined ? "nothing" : JSON.stringify(value);
  const shown = got.length > 60 ? `${got.slice(0, 60)}…` : got;
  throw new ScenarioProblem(`${path}: expected ${accepted}, got ${shown}`);
}

export function required<T>(read: Field<T>): Member<T> {
  return { read, otherwise: undefined };
}

export function optional<T>(read: Field<T>, otherwise: T): Member<T> {
  return { read, otherwise: () => otherwise };
}

/** Absent is undefined. */
export function maybe<T>(read: Field<T>): Member<T | undefined> {
  return { read, otherwise: () => undefined };
}

/** A value as the configuration file has it, in a JSON string. */
export function written<V>({ parse, accepted }: Kind<V>): Field<V> {
  return (value, path) => {
    const result: Parsed<V> = typeof value === "string" ? parse(value) : {};
    if ("value" in result) return result.value;
    const hint = result.hint === undefined ? "" : ` (write it ${result.hint})`;
    return refuse(path, value, accepted + hint);
  };
}

export function number(min: number, max: number): Field<number> {
  return (value, path) =>
    typeof value === "number" && value >= min && value <= max
      ? value
      : refuse(path, value, `a number from ${min} to ${max}`);
}

export function whole(min: number, max: number): Field<number> {
  return (value, path) =>
    typeof value === "number" && Number.isInteger(value) && value >= min && value <= max
      ? value
      : refuse(path, value, `a whole number from ${min} to ${max}`);
}

export const flag: Field<boolean> = (value, path) =>
  typeof value === "boolean" ? value : refuse(path, value, "true or false");

export const text: Field<string> = (value, path) =>
  typeof value === "string" ? value : refuse(path, value, "a text");

export function matching(pattern: RegExp, accepted: string): Field<string> {
  return (value, path) =>
    typeof value === "string" && pattern.test(value) ? value : refuse(path, value, accepted);
}

export function choice<const W extends string>(words: readonly W[]): Field<W> {
  return (value, path) =>
    words.find((word) => word === value) ?? refuse(path, value, `one of ${words.join(", ")}`);
}

export function list<T>(read: Field<T>, min = 0): Field<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) return refuse(path, value, "a list");
    if (value.length < min) return refuse(path, value, `a list of at least ${min}`);
    return value.map((each, index) => read(each, `${path}[${index}]`));
  };
}

/** An object whose keys are free. */
export function dictionary<T>(read: Field<T>): Field<Readonly<Record<string, T>>> {
  return (value, path) =>
    Object.fromEntries(
      Object.entries(record(value, path)).map(([key, each]) => [key, read(each, at(path, key))]),
    );
}

export function object<S extends Shape>(shape: S): Field<Values<S>> {
  return (value, path) => {
    const given = record(value, path);
    known(given, Object.keys(shape), path);
    return Object.fromEntries(
      Object.entries(shape).map(([key, { read, otherwise }]) => {
        const fallback = given[key] === undefined ? otherwise : undefined;
        return [key, fallback === undefined ? read(given[key], at(path, key)) : fallback()];
      }),
    ) as Values<S>;
  };
}

/** Objects of several shapes, told apart by the value of one key. */
export function tagged<const Tag extends string, T extends Readonly<Record<string, Shape>>>(
  tag: Tag,
  shapes: T,
): Field<{ [K in keyof T & string]: Readonly<Record<Tag, K>> & Values<T[K]> }[keyof T & string]> {
  return (value, path) => {
    const { [tag]: name, ...rest } = record(value, path);
    const words = Object.keys(shapes);
    const shape =
      typeof name === "string" && Object.hasOwn(shapes, name) ? shapes[name] : undefined;
    if (shape === undefined) return refuse(at(path, tag), name, `one of ${words.join(", ")}`);
    return { ...object(shape)(rest, path), [tag]: name } as never;
  };
}

/** The path of a key, as a JavaScript programmer would write it. */
export function at(path: string, key: string): string {
  if (!/^\w+$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

export function known(given: object, keys: readonly string[], path: string): void {
  for (const key of Object.keys(given)) {
    if (keys.includes(key)) continue;
    const meant = suggest(key, keys);
    const hint = meant === undefined ? `known are ${keys.join(", ")}` : `did you mean ${meant}?`;
    throw new ScenarioProblem(`${at(path, key)}: no such key; ${hint}`);
  }
}

function record(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  return refuse(path === "" ? "the scenario" : path, value, "an object");
}
