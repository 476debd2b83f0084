/** Some of many, by chance. */
import type { Random } from "../base/ports.ts";

/** At most so many of them, by chance; the array is used up. */
export function sampleOf<T>(all: T[], most: number, random: Random): T[] {
  const count = Math.max(0, Math.min(most, all.length));
  for (let at = 0; at < count; at++) {
    const from = at + Math.floor(random.next() * (all.length - at));
    const [drawn, here] = [all[from], all[at]];
    if (drawn === undefined || here === undefined) break;
    [all[at], all[from]] = [drawn, here];
  }
  all.length = count;
  return all;
}
