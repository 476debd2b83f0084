import type { Endpoint } from "../base/endpoint.ts";

/**
 * What survives a restart: text by text, read once before the node starts. Keys are `dht!kind!…`.
 * Writing returns at once; the daemon batches it into LevelDB, the laboratory keeps a map.
 */
export interface DhtRecords {
  /** All entries whose key starts with this, as they were when the node started. */
  initial(prefix: string): Iterable<readonly [key: string, value: string]>;
  /** undefined deletes. */
  put(key: string, value: string | undefined): void;
}

/** Connects by TCP and hangs up: whether somebody listens there. Calls back once, in bounded time. */
export interface DialBack {
  dial(to: Endpoint, done: (reached: boolean) => void): void;
}

/** Where nodes may be found when none is known: configured hosts, resolved anew each time. */
export interface Bootstrap {
  /** Never rejects. */
  endpoints(): Promise<readonly Endpoint[]>;
}
