/**
 * Memory of pieces on their way from a peer to the disk and the client, used again and again. Made
 * anew for each piece it would cost more than the hashing: the kernel clears it, and the collector
 * has to find out that it is free.
 *
 * Rules: a buffer has one holder, and whoever has it last gives it back when nobody else can look at
 * it any more. Who is not sure, or has no time, lets go of it: the collector takes it then.
 */
import { limits } from "../base/limits.ts";

const spare: Buffer[] = [];
/** Those that may come back. */
const lent = new WeakSet<ArrayBufferLike>();

/** Memory for so many bytes, at most a piece. What it holds is anything. */
export function takePieceBuffer(bytes: number): Buffer {
  // Small files would keep memory that they do not need.
  if (bytes <= limits.pieceBytes / 2) return Buffer.allocUnsafeSlow(bytes);
  const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(limits.pieceBytes);
  lent.add(buffer.buffer);
  return buffer.subarray(0, bytes);
}

/** Somebody else looks at these bytes, too, for as long as he likes. */
export function keepPieceBuffer(bytes: Buffer): void {
  lent.delete(bytes.buffer);
}

/** Nobody looks at these bytes any more. What came from elsewhere is left alone. */
export function givePieceBuffer(bytes: Buffer): void {
  if (!lent.delete(bytes.buffer)) return;
  if (spare.length < limits.sparePieceBuffers) spare.push(Buffer.from(bytes.buffer));
}
