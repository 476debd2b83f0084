/**
 * What apt printed, without what may differ between a direct run and one through us: the prefix of
 * the URL, ports, counters, times, speeds and the order of parallel downloads.
 */

export interface Names {
  /** host:port of each mirror, in the order in which they were made. */
  readonly mirrors: readonly string[];
  /** host:port of our daemon. */
  readonly daemon: string;
  /** Absolute path of apt's private root. */
  readonly root: string;
}

export interface Messages {
  /** One per Get, Hit, Ign, Err, W, E and N line, sorted; without the reason of a failure. */
  readonly classes: readonly string[];
  /** The reasons of failures, sorted. */
  readonly reasons: readonly string[];
}

export function normaliseOutput(output: string, names: Names): Messages {
  const classes: string[] = [];
  const reasons: string[] = [];
  for (const raw of output.split("\n")) {
    const line = normaliseText(raw, names);
    const progress = /^(Get|Hit|Ign|Err):\d+ (.*)$/.exec(line);
    if (progress !== null) {
      classes.push(`${progress[1] ?? ""} ${progress[2] ?? ""}`);
      continue;
    }
    const message = /^([WEN]): (.*)$/.exec(line);
    if (message === null) continue;
    const [, kind = "", text = ""] = message;
    const failure = /^(Failed to fetch \S+)\s+(.*)$/.exec(text);
    classes.push(`${kind}: ${failure?.[1] ?? text}`);
    if (failure?.[2] !== undefined) reasons.push(failure[2]);
  }
  return { classes: classes.sort(), reasons: reasons.sort() };
}

/** Names of files in apt's lists directory, which are made from the URL. */
export function normaliseFileName(name: string, names: Names): string {
  let result = name.replace(`${names.daemon}_`, "").replace(/^HTTPS_+/, "");
  for (const [index, mirror] of names.mirrors.entries()) {
    result = result.replace(mirror, mirrorName(index));
  }
  return result;
}

function normaliseText(text: string, names: Names): string {
  let result = text
    .replaceAll(names.root, "ROOT")
    .replaceAll(`http://${names.daemon}/HTTPS///`, "https://")
    .replaceAll(`http://${names.daemon}/`, "http://")
    .replaceAll(`${names.daemon}_`, "")
    .replace(/ \[IP: [^\]]*\]/g, "")
    .replace(/(\d+(d|h|min|s) ?)+/g, "TIME");
  for (const [index, mirror] of names.mirrors.entries()) {
    result = result
      .replaceAll(mirror, mirrorName(index))
      .replaceAll(encodeURIComponent(mirror), mirrorName(index));
  }
  return result.trimEnd();
}

function mirrorName(index: number): string {
  return `MIRROR${index}`;
}
