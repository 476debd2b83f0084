/**
 * Whether a whole text matches a pattern of literal characters, `*` (any characters, also none and
 * also `/`) and `?` (one). In time proportional to the product of the lengths at worst: on failure
 * only the last `*` takes one character more.
 */
export function matchesPattern(text: string, pattern: string): boolean {
  let at = 0;
  let next = 0;
  let star = -1;
  let starredTo = 0;
  while (at < text.length) {
    const expected = pattern[next];
    if (expected === "*") {
      star = next;
      starredTo = at;
      next += 1;
    } else if (expected === "?" || expected === text[at]) {
      next += 1;
      at += 1;
    } else if (star >= 0) {
      starredTo += 1;
      at = starredTo;
      next = star + 1;
    } else {
      return false;
    }
  }
  while (pattern[next] === "*") next += 1;
  return next === pattern.length;
}
