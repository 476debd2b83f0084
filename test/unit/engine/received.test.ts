/** When the memory of what was received goes back; that readers get the right bytes is told elsewhere. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "mocha";
import { AptP2pError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import { DownloadBody } from "../../../src/engine/download-body.ts";
import { takePieceBuffer } from "../../../src/engine/piece-buffers.ts";
import { Received, type Sink } from "../../../src/engine/received.ts";

const piece = limits.pieceBytes;

/** A disk that writes when it is told to. */
class SlowSink implements Sink {
  heldBytes = 0;
  writtenBytes = 0;
  failure: AptP2pError | undefined;
  append(chunk: Buffer): void {
    this.heldBytes += chunk.length;
  }
  drained(): Promise<void> {
    return Promise.resolve();
  }
  read(): Promise<number> {
    return Promise.resolve(0);
  }
  digest(): never {
    throw new Error("unused");
  }
}

describe("Received", () => {
  let sink: SlowSink;
  let received: Received;
  let given: ArrayBufferLike[];
  let back: Set<ArrayBufferLike>;

  beforeEach(() => {
    sink = new SlowSink();
    received = new Received(sink);
    given = [];
    back = new Set();
    drain();
  });

  /** Takes all that is spare out of use. */
  const drain = (): void => {
    for (let count = 0; count < limits.sparePieceBuffers; count++) {
      back.add(takePieceBuffer(piece).buffer);
    }
  };

  /** Appends pieces, each filled with its number. */
  const append = (count: number): void => {
    for (let more = 0; more < count; more++) {
      const bytes = takePieceBuffer(piece).fill(given.length);
      given.push(bytes.buffer);
      received.append(bytes);
    }
  };

  /** Numbers of the pieces whose memory could be had again. */
  const free = (): number[] => {
    drain();
    return [...given.entries()].flatMap(([index, memory]) => (back.has(memory) ? [index] : []));
  };

  const reader = (start: number): DownloadBody => {
    const body: DownloadBody = new DownloadBody(
      {
        next: async ({ position }) =>
          position < received.bytes
            ? await received.read(position, received.bytes, () => body.memory())
            : null,
        moved: () => received.moved(),
        closed: (closed) => received.removeReader(closed),
      },
      start,
      undefined,
    );
    received.addReader(body);
    return body;
  };

  it("gives memory back when the disk has the bytes, and not before", () => {
    append(4);
    assert.deepEqual(free(), []);
    sink.writtenBytes = 2 * piece;
    append(1);
    assert.deepEqual(free(), [0, 1]);
  });

  it("gives nothing back that a reader may still send", async () => {
    append(1);
    const body = reader(0);
    await body.next();
    append(3);
    sink.writtenBytes = 4 * piece;
    append(1);
    assert.deepEqual(free(), [1, 2, 3], "the reader has the first one");
  });

  it("gives it back once the reader has asked for the second chunk after it", async () => {
    append(2);
    const body = reader(0);
    await body.next();
    await body.next();
    sink.writtenBytes = 2 * piece;
    append(2);
    assert.deepEqual(free(), [], "the first may be on its way while the second is read");
    await body.next();
    sink.writtenBytes = 4 * piece;
    append(1);
    assert.deepEqual(free(), [0, 3], "3 was seen by nobody");
  });

  it("gives nothing back that a reader had when it left", async () => {
    append(1);
    const body = reader(0);
    await body.next();
    body.close();
    sink.writtenBytes = piece;
    append(2);
    assert.deepEqual(free(), []);
  });

  it("gives nothing back when the disk fails", () => {
    append(3);
    sink.writtenBytes = 3 * piece;
    sink.failure = new AptP2pError("STORAGE", "it burns");
    append(3);
    assert.deepEqual(free(), []);
  });
});
