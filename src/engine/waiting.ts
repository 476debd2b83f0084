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
