/**
 * The daemon's own account of its requests, from its log: was a file's hash known before its first
 * byte, and where did its bytes come from?
 */
export interface Requests {
  readonly packages: Knowledge;
  readonly byHash: Knowledge;
  /** Bytes sent to clients by their origin, e.g. cache or mirror. */
  readonly bytesFrom: Readonly<Record<string, number>>;
}

export interface Knowledge {
  readonly requests: number;
  readonly known: number;
  /** 1: all. Of no request at all: 1. */
  readonly share: number;
}

/** Reads `request` lines (key=value) of a log. */
export function readRequests(log: string): Requests {
  const lines = log.split("\n").filter((line) => line.includes(" request method="));
  const requests = lines.map((line) => ({
    path: (value(line, "url") ?? "").replace(/[?#].*$/, ""),
    status: Number(value(line, "status")),
    from: value(line, "from") ?? "",
    known: value(line, "known") === "true",
    bytes: Number(value(line, "bytes") ?? "0"),
  }));
  const answered = requests.filter(({ status }) => status === 200 || status === 206);
  const bytesFrom: Record<string, number> = {};
  for (const { from, bytes } of answered) bytesFrom[from] = (bytesFrom[from] ?? 0) + bytes;
  return {
    packages: knowledge(answered.filter(({ path }) => path.endsWith(".deb"))),
    byHash: knowledge(answered.filter(({ path }) => path.includes("/by-hash/"))),
    bytesFrom,
  };
}

function knowledge(requests: readonly { readonly known: boolean }[]): Knowledge {
  const known = requests.filter((one) => one.known).length;
  return {
    requests: requests.length,
    known,
    share: requests.length === 0 ? 1 : known / requests.length,
  };
}

function value(line: string, key: string): string | undefined {
  const found = new RegExp(` ${key}=("(?:[^"\\\\]|\\\\.)*"|\\S+)`).exec(line)?.[1];
  return found?.startsWith('"') === true ? (JSON.parse(found) as string) : found;
}
