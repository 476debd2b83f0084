/** What a clock runs when its time has come. */
export interface Job {
  /** It waits in vain: the heap may throw it away unrun. */
  readonly cancelled: boolean;
  run(): void;
}

/** Fewer cancelled jobs than this are not worth a compaction. */
const toleratedGarbage = 64;

/**
 * Jobs by due time, those of one time in the order in which they came: a binary heap (Williams 1964)
 * over parallel arrays, since numbers in arrays are compared without a detour through objects.
 *
 * A cancelled job stays until it comes to the top or until more than half of the heap is garbage, so
 * cancelling costs nothing and the heap is at most twice as large as what it holds (plus 64).
 */
export class TimerHeap {
  readonly #dueMs: number[] = [];
  readonly #order: number[] = [];
  readonly #jobs: Job[] = [];
  #nextOrder = 0;
  #garbage = 0;

  /** Jobs that are not cancelled. */
  get size(): number {
    return this.#jobs.length - this.#garbage;
  }

  /** Places taken, those of cancelled jobs included. */
  get places(): number {
    return this.#jobs.length;
  }

  push(dueMs: number, job: Job): void {
    const order = this.#nextOrder++;
    let place = this.#jobs.length;
    this.#dueMs.push(dueMs);
    this.#order.push(order);
    this.#jobs.push(job);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      // Whatever is there came earlier, so of equal times it stays above.
      if ((this.#dueMs[parent] ?? 0) <= dueMs) break;
      this.#copy(parent, place);
      place = parent;
    }
    this.#put(place, dueMs, order, job);
  }

  /** When the next job is due; undefined without one. */
  get nextMs(): number | undefined {
    while (this.#jobs[0]?.cancelled === true) {
      this.#garbage--;
      this.#removeTop();
    }
    return this.#dueMs[0];
  }

  /** Takes out the next job; undefined without one. */
  pop(): Job | undefined {
    if (this.nextMs === undefined) return undefined;
    const job = this.#jobs[0];
    this.#removeTop();
    return job;
  }

  /** To be told of each job in the heap that becomes cancelled, once. */
  noteCancelled(): void {
    this.#garbage++;
    if (this.#garbage > toleratedGarbage && 2 * this.#garbage > this.#jobs.length) this.#compact();
  }

  #removeTop(): void {
    const dueMs = this.#dueMs.pop() ?? 0;
    const order = this.#order.pop() ?? 0;
    const job = this.#jobs.pop();
    if (job !== undefined && this.#jobs.length > 0) this.#sink(0, dueMs, order, job);
  }

  /** Puts a job where it belongs at or below `place`, whose present job is overwritten. */
  #sink(start: number, dueMs: number, order: number, job: Job): void {
    const length = this.#jobs.length;
    let place = start;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= length) break;
      const right = child + 1;
      const rightMs = this.#dueMs[right] ?? Infinity;
      let childMs = this.#dueMs[child] ?? 0;
      if (
        rightMs < childMs ||
        (right < length && rightMs === childMs && this.#isEarlier(right, child))
      ) {
        child = right;
        childMs = rightMs;
      }
      if (childMs > dueMs || (childMs === dueMs && (this.#order[child] ?? 0) > order)) break;
      this.#copy(child, place);
      place = child;
    }
    this.#put(place, dueMs, order, job);
  }

  #isEarlier(a: number, b: number): boolean {
    return (this.#order[a] ?? 0) < (this.#order[b] ?? 0);
  }

  #copy(from: number, to: number): void {
    const job = this.#jobs[from];
    if (job !== undefined) this.#put(to, this.#dueMs[from] ?? 0, this.#order[from] ?? 0, job);
  }

  #put(place: number, dueMs: number, order: number, job: Job): void {
    this.#dueMs[place] = dueMs;
    this.#order[place] = order;
    this.#jobs[place] = job;
  }

  #compact(): void {
    let kept = 0;
    for (let place = 0; place < this.#jobs.length; place++) {
      if (this.#jobs[place]?.cancelled === false) this.#copy(place, kept++);
    }
    this.#dueMs.length = kept;
    this.#order.length = kept;
    this.#jobs.length = kept;
    this.#garbage = 0;
    for (let place = (kept >> 1) - 1; place >= 0; place--) {
      const job = this.#jobs[place];
      if (job === undefined) continue;
      this.#sink(place, this.#dueMs[place] ?? 0, this.#order[place] ?? 0, job);
    }
  }
}
