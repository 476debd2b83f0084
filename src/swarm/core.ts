/** What the parts of one transfer share. */
import type { Counters } from "../base/counters.ts";
import type { Clock, Random } from "../base/ports.ts";
import type { MirrorUse } from "./mirror-use.ts";
import type { PeerBook } from "./peer-book.ts";
import type { Picker } from "./picker.ts";
import type { TransferPolicy } from "./policy.ts";
import type { TransferPort } from "./ports.ts";
import type { Shape } from "./shape.ts";

export interface Core {
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
  readonly port: TransferPort;
  readonly policy: TransferPolicy;
  readonly shape: Shape;
  readonly picker: Picker;
  readonly book: PeerBook;
  readonly mirror: MirrorUse;
}

/** Stands for the mirror where a peer's endpoint would. */
export const mirrorSource = "mirror";
