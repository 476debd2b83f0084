/**
 * A live node under datagrams with faults from ever new addresses. Goal: no exception, no growth
 * beyond the limits, nothing sent to whoever sent less, and the node still answers afterwards.
 *
 * `FUZZ=1000000` makes more of them; `SEED=7` other ones.
 */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import type { Endpoint } from "../../../src/base/endpoint.ts";
import { second } from "../../../src/base/units.ts";
import { DhtNode } from "../../../src/dht/node.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { decodeMessage } from "../../../src/krpc/decode.ts";
import { encodeMessage } from "../../../src/krpc/encode.ts";
import type { Message } from "../../../src/krpc/message.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { mutant } from "../krpc/mutations.ts";
import { idAt, queryMessage, version } from "./nodes.ts";

const count = Number(process.env["FUZZ"] ?? 10_000);
const seed = Number(process.env["SEED"] ?? 1);

describe("DhtNode under faulty datagrams", function () {
  this.timeout(count * 2 + 5000);

  it(`survives them without growth (seed ${seed})`, () => {
    const random = new SeededRandom(seed);
    const clock = new VirtualClock();
    let sent: { readonly to: Endpoint; readonly message: Message }[] = [];
    const node = new DhtNode(
      {
        ...{ clock, random, hashes: nodeHashes, counters: new Counters() },
        secret: () => random.bytes(20),
        port: { send: (to, message) => sent.push({ to, message }) },
        dialBack: { dial: (_to, done) => done(false) },
        records: { initial: () => [], put: () => undefined },
        bootstrap: { endpoints: () => Promise.resolve([]) },
      },
      { id: idAt([0x80]), family: 4, version },
    );
    node.start();
    for (let round = 0; round < count; round++) {
      const bytes = mutant(random);
      const address = `${1 + random.below(9)}.${random.below(256)}.${random.below(256)}.7`;
      const from = endpoint(address, 1 + random.below(65_535));
      const message = decodeMessage(bytes);
      sent = [];
      if (message.kind !== "undecodable") node.receive(from, message, bytes.length);
      else if (message.code !== undefined && message.transaction !== undefined) {
        const { code, transaction, problem } = message;
        node.receiveWrong(from, { code, transaction, text: problem }, bytes.length);
      }
      for (const { to, message: out } of sent) {
        if (to !== from || out.kind === "query") continue;
        assert.ok(encodeMessage(out).length <= bytes.length, `round ${round} is amplified`);
      }
      clock.advance(20);
    }
    assert.ok(node.pendingQueries <= dhtLimits.pendingQueries);
    assert.ok(node.book.size <= dhtLimits.knownPeers);
    assert.ok(node.keeper.quarantined <= dhtLimits.quarantine);
    assert.equal(node.store.size, 0, "nobody has proved an address");
    assert.equal(node.table.size, 0, "nobody has answered");
    clock.advance(60 * second);
    sent = [];
    const friend = endpoint("192.0.2.1", 9977);
    const ping = queryMessage({ method: "ping" }, { padding: 100 });
    node.receive(friend, ping, encodeMessage(ping).length);
    assert.equal(sent.filter(({ message }) => message.kind === "answer").length, 1);
    node.stop();
  });
});
