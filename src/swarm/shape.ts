/** A file as pieces: all of `limits.pieceBytes` but the last. */
import { limits } from "../base/limits.ts";

export interface Shape {
  /** At least 1. */
  readonly sizeBytes: number;
  readonly pieces: number;
}

export function shapeOf(sizeBytes: number): Shape {
  return { sizeBytes, pieces: Math.max(1, Math.ceil(sizeBytes / limits.pieceBytes)) };
}

/** The piece that has the byte at `position`. */
export function pieceAt(position: number): number {
  return Math.floor(position / limits.pieceBytes);
}

export function pieceStart(piece: number): number {
  return piece * limits.pieceBytes;
}

/** Exclusive. */
export function pieceEnd({ sizeBytes }: Shape, piece: number): number {
  return Math.min(sizeBytes, (piece + 1) * limits.pieceBytes);
}

export function pieceLength(shape: Shape, piece: number): number {
  return pieceEnd(shape, piece) - pieceStart(piece);
}
