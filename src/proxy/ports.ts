import type { Duplex } from "node:stream";

/** Opens the far end of a CONNECT tunnel. Rejects with AptP2pError FORBIDDEN or UPSTREAM. */
export type Dial = (host: string, port: number) => Promise<Duplex>;
