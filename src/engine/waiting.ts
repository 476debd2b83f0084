/** Waiting that ends: with a value, with a reason, or with the one who waits. */
import { AptP2pError } from "../base/errors.ts";

/** Rejects with CLOSED as well, when `signal` (the client's presence) aborts. */
export function until<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new AptP2pError("CLOSED", "the client has left"));
    if (signal.aborted) gone();
    signal.addEventListener("abort", gone, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", gone));
  });
}

/** Those who wait for one value that comes later, or for the reason why it does not. */
export class Waiting<T> {
  readonly #all: {
    readonly resolve: (value: T) => void;
    readonly reject: (error: Error) => void;
  }[] = [];

  wait(): Promise<T> {
    return new Promise((resolve, reject) => this.#all.push({ resolve, reject }));
  }

  resolve(value: T): void {
    for (const { resolve } of this.#all.splice(0)) resolve(value);
  }

  reject(error: Error): void {
    for (const { reject } of this.#all.splice(0)) reject(error);
  }
}
