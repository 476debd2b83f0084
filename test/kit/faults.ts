/** What a mirror can do wrong, as changes to the answer that it would have given. */

export type Fault =
  /** One bit of the byte at this offset of the file is wrong. */
  | { readonly kind: "flip"; readonly atByte: number }
  /** The connection ends before this byte of the file. */
  | { readonly kind: "cut"; readonly atByte: number }
  /** Nothing comes for a while before this byte of the file. */
  | { readonly kind: "stall"; readonly atByte: number; readonly forMs: number }
  /** The status line itself comes late. */
  | { readonly kind: "delay"; readonly forMs: number }
  | { readonly kind: "rate"; readonly bytesPerSecond: number }
  /** Another status; no `body` means Content-Length: 0. */
  | { readonly kind: "status"; readonly status: number; readonly body?: string }
  /** Location is sent as it is. */
  | { readonly kind: "redirect"; readonly location: string; readonly status?: number }
  /** Other bytes, as if this were the file. */
  | { readonly kind: "content"; readonly bytes: Buffer }
  /** So many more bytes than the file has, with a Content-Length that agrees. */
  | { readonly kind: "surplus"; readonly bytes: number }
  /** Content-Length is off by this much; the connection ends after the real bytes. */
  | { readonly kind: "length"; readonly offBy: number }
  /** Header as given; undefined leaves it out. */
  | { readonly kind: "header"; readonly name: string; readonly value: string | undefined }
  /** Range and If-Range are not understood. */
  | { readonly kind: "ignoreRange" }
  /** If-Modified-Since is not understood. */
  | { readonly kind: "ignoreDates" }
  /** The connection is closed without an answer. */
  | { readonly kind: "hangUp" };

export interface ArmedFault {
  readonly path: RegExp;
  readonly fault: Fault;
  /** Requests of that path that go well first. */
  skip: number;
  /** Requests that it still hits. */
  times: number;
}

export interface FaultLimits {
  readonly times?: number;
  readonly skip?: number;
}

/** The faults that hit this request; each that does is used up by one. */
export function takeFaults(armed: readonly ArmedFault[], path: string): readonly Fault[] {
  const hits: Fault[] = [];
  for (const each of armed) {
    if (!each.path.test(path)) continue;
    if (each.skip > 0) each.skip -= 1;
    else if (each.times > 0) {
      each.times -= 1;
      hits.push(each.fault);
    }
  }
  return hits;
}

export function find<K extends Fault["kind"]>(
  faults: readonly Fault[],
  kind: K,
): Extract<Fault, { kind: K }> | undefined {
  return faults.find((each): each is Extract<Fault, { kind: K }> => each.kind === kind);
}
