import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "mocha";

import { startMirror } from "./mirror.ts";
import type { TestMirror } from "./mirror.ts";
import { scratchDirectory } from "./scratch.ts";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

describe("TestMirror", () => {
  const content = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));
  let mirror: TestMirror;
  let scratch: { path: string; remove: () => void };

  beforeEach(async () => {
    scratch = scratchDirectory("mirror");
    mkdirSync(join(scratch.path, "a~b"));
    writeFileSync(join(scratch.path, "a~b", "file+1"), content);
    mirror = await startMirror({ root: scratch.path });
  });

  afterEach(async () => {
    await mirror.close();
    scratch.remove();
  });

  function get(headers: Record<string, string> = {}, path = "/a%7eb/file%2b1"): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const options = { host: mirror.host, port: mirror.port, path, headers, agent: false };
      const call = request(options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const { statusCode = 0, headers: received } = response;
          resolve({ status: statusCode, headers: received, body: Buffer.concat(chunks) });
        });
      });
      call.on("error", reject);
      call.end();
    });
  }

  it("serves files, ranges and conditions and remembers what it sent", async () => {
    const whole = await get();
    assert.deepEqual([whole.status, whole.body], [200, content]);
    const modified = String(whole.headers["last-modified"]);
    assert.equal((await get({ "if-modified-since": modified })).status, 304);
    const rest = await get({ range: "bytes=990-", "if-range": modified });
    assert.deepEqual([rest.status, rest.body], [206, content.subarray(990)]);
    const changed = await get({ range: "bytes=990-", "if-range": "Sat, 01 Jan 2000 00:00:00 GMT" });
    assert.deepEqual([changed.status, changed.body.length], [200, 1000]);
    assert.equal((await get({ range: "bytes=1000-" })).status, 416);
    assert.equal((await get({}, "/missing")).status, 404);
    assert.equal((await get({}, "/../../../../etc/passwd")).status, 404);
    assert.deepEqual(
      mirror.log.slice(0, 4).map((each) => [each.status, each.bytes, each.conditional]),
      [
        [200, 1000, false],
        [304, 0, true],
        [206, 10, false],
        [200, 1000, false],
      ],
    );
  });

  it("answers pipelined requests in order", async () => {
    const socket = connect(mirror.port, mirror.host);
    const one = "GET /missing HTTP/1.1\r\nHost: m\r\n\r\n";
    const two = "GET /a~b/file+1 HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n";
    socket.write(one + two);
    let received = "";
    for await (const chunk of socket) received += String(chunk);
    assert.match(received, /^HTTP\/1\.1 404 [^]*HTTP\/1\.1 200 /);
  });

  it("misbehaves as it was told, as often as it was told", async () => {
    mirror.fault(/file/, { kind: "flip", atByte: 5 }, { times: 1 });
    assert.notDeepEqual((await get()).body, content);
    assert.deepEqual((await get()).body, content);
    mirror.fault(/file/, { kind: "cut", atByte: 100 }, { times: 1, skip: 1 });
    assert.equal((await get()).body.length, 1000);
    await assert.rejects(get(), /aborted/);
    assert.deepEqual([mirror.log.at(-1)?.bytes, mirror.log.at(-1)?.aborted], [100, true]);
    mirror.fault(/file/, { kind: "surplus", bytes: 7 }, { times: 1 });
    assert.equal((await get()).body.length, 1007);
    mirror.fault(/file/, { kind: "status", status: 503 });
    assert.deepEqual([(await get()).status, (await get()).body.length], [503, 0]);
    mirror.heal();
    assert.equal((await get()).status, 200);
  });

  it("vanishes and comes back on the same port", async () => {
    const { port } = mirror;
    await mirror.vanish();
    await assert.rejects(get(), /ECONNREFUSED/);
    await mirror.comeBack();
    assert.equal(mirror.port, port);
    assert.equal((await get()).status, 200);
  });
});
