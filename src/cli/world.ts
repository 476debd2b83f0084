/** What a command sees of the machine, as values, so that a test can pass its own. */
import type { RunProgram } from "./run-program.ts";

export interface Output {
  readonly write: (text: string) => void;
  /** Resolves when more can be taken. */
  readonly writeBytes: (bytes: Uint8Array) => Promise<void>;
  readonly isTerminal: boolean;
  /** Width of the terminal. */
  readonly columns: number;
}

export interface World {
  readonly out: Output;
  readonly err: Output;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly isRoot: boolean;
  readonly homeDirectory: string | undefined;
  readonly workingDirectory: string;
  /** The system's configuration file; need not exist. What apt is led here by lies beside it. */
  readonly systemConfigFile: string;
  /** Where the system's daemon has its control socket, for users who run none of their own. */
  readonly systemStateDirectory: string;
  readonly runProgram: RunProgram;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  /** From now on a closed output ends nothing: a daemon outlives whoever reads its log. */
  readonly outliveReaders: () => void;
}
