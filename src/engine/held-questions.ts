/** Questions whose answers are held back until there is something new: so many of one peer, and of all. */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import { partyOf, type Uploader } from "../swarm/upload-gate.ts";

export class HeldQuestions {
  readonly #clock: Clock;
  readonly #byPeer = new Map<string, number>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** → to be called once at its end; undefined: there are too many. */
  begin(who: Uploader): (() => void) | undefined {
    const key = partyOf(who);
    const ofPeer = this.#byPeer.get(key) ?? 0;
    if (ofPeer >= limits.heldQuestionsPerPeer || this.#count >= limits.heldQuestions) {
      return undefined;
    }
    this.#byPeer.set(key, ofPeer + 1);
    this.#count++;
    return () => {
      this.#count--;
      const left = (this.#byPeer.get(key) ?? 1) - 1;
      if (left === 0) this.#byPeer.delete(key);
      else this.#byPeer.set(key, left);
    };
  }

  /**
   * Resolves at the first news, after `waitMs`, or at once if too many wait. Rejects CLOSED when the
   * peer leaves. `listen` gets what to call at news → how to stop that.
   */
  async wait(
    { who, signal }: { readonly who: Uploader; readonly signal: AbortSignal },
    waitMs: number,
    listen: (news: () => void) => () => void,
  ): Promise<void> {
    const done = this.begin(who);
    if (done === undefined) return;
    let undo: (() => void)[] = [done];
    try {
      await new Promise<void>((resolve, reject) => {
        const left = (): void => reject(new AptP2pError("CLOSED", "the peer has left"));
        undo = [...undo, listen(resolve), this.#clock.after(waitMs, resolve)];
        undo.push(() => signal.removeEventListener("abort", left));
        signal.addEventListener("abort", left);
        if (signal.aborted) left();
      });
    } finally {
      for (const each of undo) each();
    }
  }
}
