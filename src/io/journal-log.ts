/**
 * Log lines for the journal and for people: `<level>event key=value …`. The level prefix is the one of
 * sd-daemon(3) and appears only where systemd reads our output.
 */
import type { Log, LogValue } from "../base/ports.ts";

const LEVELS = { debug: 7, info: 6, warn: 4, error: 3 } as const;
export type LogLevel = keyof typeof LEVELS;

export function journalLog(
  minimum: () => LogLevel,
  output: { write(text: string): unknown },
  underSystemd: boolean,
): Log {
  // One write for all lines of a turn: under load a write costs more than the rest of a line.
  let waiting = "";
  const flush = (): void => {
    const text = waiting;
    waiting = "";
    if (text !== "") output.write(text);
  };
  process.once("exit", flush);
  const line = (
    level: LogLevel,
    event: string,
    fields?: Readonly<Record<string, LogValue>>,
  ): void => {
    if (LEVELS[level] > LEVELS[minimum()]) return;
    const prefix = underSystemd ? `<${LEVELS[level]}>` : `${new Date().toISOString()} ${level} `;
    if (waiting === "") setImmediate(flush);
    waiting += `${prefix}${event}${format(fields ?? {})}\n`;
  };
  return {
    debug: (event, fields) => line("debug", event, fields),
    info: (event, fields) => line("info", event, fields),
    warn: (event, fields) => line("warn", event, fields),
    error: (event, fields) => line("error", event, fields),
  };
}

function format(fields: Readonly<Record<string, LogValue>>): string {
  let text = "";
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const plain = String(value);
    // Quoted where a space or a control character would make the line ambiguous.
    text += ` ${key}=${/^[\x21\x23-\x7e]+$/.test(plain) ? plain : JSON.stringify(plain)}`;
  }
  return text;
}
