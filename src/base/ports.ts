/**
 * What every room needs from outside, as values: time, randomness, hashing, logging. The daemon
 * passes the machine's own, the simulator seeded and virtual ones; the code between is the same.
 */

export interface Clock {
  /** Milliseconds that never run backwards; only differences mean anything. */
  monotonicMs(): number;
  /** Milliseconds since 1970 UTC, for records and logs; may jump. */
  wallMs(): number;
  /** Calls `action` once after `delayMs`, unless the returned function is called before. */
  after(delayMs: number, action: () => void): () => void;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

/** An incremental SHA-256. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Digest of all bytes so far (32 bytes); the hasher goes on afterwards. */
  peek(): Uint8Array;
  /** Digest of all bytes (32 bytes); the hasher cannot be used afterwards. */
  digest(): Uint8Array;
}

export interface Hashes {
  start(): Hasher;
  /** SHA-256 of one buffer or of a text's UTF-8, as 32 bytes. */
  of(data: Uint8Array | string): Uint8Array;
}

export type LogValue = string | number | boolean | undefined;

export interface Log {
  debug(event: string, fields?: Readonly<Record<string, LogValue>>): void;
  info(event: string, fields?: Readonly<Record<string, LogValue>>): void;
  warn(event: string, fields?: Readonly<Record<string, LogValue>>): void;
  error(event: string, fields?: Readonly<Record<string, LogValue>>): void;
}
