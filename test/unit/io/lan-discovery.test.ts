/** Finding neighbours, on a link that is an array of functions and a clock that is moved by hand. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { randomNodeId } from "../../../src/base/node-id.ts";
import {
  decodeLanDatagram,
  encodeLanDatagram,
  networkTag,
  type LanDatagram,
} from "../../../src/io/lan-datagram.ts";
import { LanDiscovery, type LanNeighbour } from "../../../src/io/lan-discovery.ts";
import type { LanHandler, LanSender, LanTransport } from "../../../src/io/lan-sockets.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

const seed = Math.floor(Math.random() * 2 ** 32);

/** Delivers at once, to all but the sender; loses what `loses` says. */
class Link {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(seed);
  readonly members = new Map<string, FakeTransport>();
  readonly sent: { readonly from: string; readonly bytes: Uint8Array }[] = [];
  loses: () => boolean = () => false;

  kinds(from: string): readonly (string | undefined)[] {
    return this.sent
      .filter((each) => each.from === from)
      .map(({ bytes }) => decodeLanDatagram(bytes)?.kind);
  }

  daemon(address: string, network = "public") {
    const counters = new Counters();
    const found: LanNeighbour[] = [];
    const transport = new FakeTransport(this, address);
    const { clock, random } = this;
    const id = randomNodeId(random);
    const ports = { udpPort: 9977, tcpPort: 9978 };
    const parts = { id, ...ports, network, found: (each: LanNeighbour) => void found.push(each) };
    const discovery = new LanDiscovery({ ...parts, clock, random, counters }, transport);
    return { id, counters, found, transport, discovery };
  }
}

class FakeTransport implements LanTransport {
  readonly #link: Link;
  readonly address: string;
  handler: LanHandler = () => undefined;
  changed = false;

  constructor(link: Link, address: string) {
    this.#link = link;
    this.address = address;
    link.members.set(address, this);
  }
  refresh(): boolean {
    const { changed } = this;
    this.changed = false;
    return changed;
  }
  announce(bytes: Uint8Array): void {
    // The group also sends to whom it comes from.
    for (const address of this.#link.members.keys()) this.#send(bytes, address);
    this.#link.sent.push({ from: this.address, bytes });
  }
  answer(bytes: Uint8Array, to: LanSender): void {
    assert.equal(to.port, 5000);
    this.#send(bytes, to.address);
    this.#link.sent.push({ from: this.address, bytes });
  }
  isNear(address: string): boolean {
    return address.startsWith("192.168.") || address.startsWith("fe80:");
  }
  onDatagram(handler: LanHandler): void {
    this.handler = handler;
  }
  close(): Promise<void> {
    this.#link.members.delete(this.address);
    return Promise.resolve();
  }
  #send(bytes: Uint8Array, to: string): void {
    if (this.#link.loses()) return;
    this.#link.members.get(to)?.handler(bytes, { address: this.address, port: 5000 });
  }
}

const example = (from: Partial<LanDatagram> = {}): Uint8Array =>
  encodeLanDatagram({
    kind: "announce",
    id: randomNodeId(new SeededRandom(5)),
    udpPort: 1,
    tcpPort: 2,
    network: networkTag("public"),
    ...from,
  });

describe("the LAN datagram", () => {
  it("has the bytes that the protocol says", () => {
    const id = Uint8Array.from({ length: 20 }, (_, index) => index) as LanDatagram["id"];
    const bytes = encodeLanDatagram({
      ...{ kind: "answer", id, udpPort: 9977, tcpPort: 80 },
      network: networkTag("lan"),
    });
    assert.equal(
      Buffer.from(bytes).toString("hex"),
      "4150542d5032502031" +
        "02" +
        "000102030405060708090a0b0c0d0e0f10111213" +
        "26f9" +
        "0050" +
        // sha256sum of "lan"
        "094a367b026246fb",
    );
    assert.deepEqual(networkTag("public"), new Uint8Array(8));
  });
  it("comes back as it was, also with later versions' bytes behind it", () => {
    const port = fc.integer({ min: 0, max: 65_535 });
    fc.assert(
      fc.property(
        fc.constantFrom("announce" as const, "answer" as const, "presence" as const),
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        port,
        port,
        fc.uint8Array({ maxLength: 30 }),
        (kind, id, udpPort, tcpPort, more) => {
          const network = networkTag("office");
          const datagram = { kind, id: id as LanDatagram["id"], udpPort, tcpPort, network };
          const bytes = Buffer.concat([encodeLanDatagram(datagram), more]);
          assert.deepEqual(decodeLanDatagram(bytes), udpPort === 0 ? undefined : datagram);
        },
      ),
    );
  });
  it("is nothing else: cut short, or with a byte changed that must be so", () => {
    const good = example();
    for (let length = 0; length < good.length; length += 1) {
      assert.equal(decodeLanDatagram(good.subarray(0, length)), undefined, `${length}`);
    }
    for (let at = 0; at < 10; at += 1) {
      const wrong = Uint8Array.from(good, (byte, index) => (index === at ? byte ^ 0x40 : byte));
      assert.equal(decodeLanDatagram(wrong), undefined, `${at}`);
    }
  });
});

describe(`LanDiscovery (seed ${seed})`, () => {
  it("lets two daemons find each other within 1.5 s in 95 of 100 cases, a fifth being lost", () => {
    let late = 0;
    for (let run = 0; run < 200; run += 1) {
      const link = new Link();
      link.loses = () => link.random.chance(0.2);
      for (let skipped = 0; skipped < run; skipped += 1) link.random.next();
      const first = link.daemon("192.168.0.1");
      first.discovery.start();
      link.clock.advance(7000);
      const second = link.daemon("192.168.0.2");
      second.discovery.start();
      link.clock.advance(1500);
      // One way is enough for the DHT, which pings whoever was found.
      if (first.found.length + second.found.length === 0) late += 1;
    }
    assert.ok(late <= 10, `${late} of 200`);
  });

  it("reports endpoint, id and TCP port, to both, and by an answer to the newcomer", () => {
    const link = new Link();
    const first = link.daemon("192.168.0.1");
    first.discovery.start();
    link.clock.advance(60_000);
    const second = link.daemon("192.168.0.2");
    second.discovery.start();
    link.clock.advance(155);
    const [heard] = second.found;
    assert.ok(heard !== undefined);
    assert.deepEqual(heard.id, first.id);
    assert.equal(heard.endpoint.text, "192.168.0.1:9977");
    assert.equal(heard.tcpPort, 9978);
    assert.equal(heard.zone, undefined);
    assert.deepEqual(first.found[0]?.id, second.id);
    assert.equal(first.counters.get("io.lan.answered"), 1);
    assert.equal(second.counters.get("io.lan.found"), 1);
  });

  it("announces three times at the start and after a change, then each five minutes", () => {
    const link = new Link();
    const { discovery, transport, counters } = link.daemon("192.168.0.1");
    discovery.start();
    link.clock.advance(1400);
    assert.deepEqual(link.kinds("192.168.0.1"), ["announce", "announce", "announce"]);
    link.clock.advance(3_600_000);
    const presences = counters.get("io.lan.presences");
    assert.ok(presences >= 10 && presences <= 15, `${presences} an hour`);
    assert.equal(counters.get("io.lan.announced"), 3);
    transport.changed = true;
    link.clock.advance(31_500);
    assert.equal(counters.get("io.lan.announced"), 6);
  });

  it("answers a presence only of somebody new, and reports nobody twice a minute", () => {
    const link = new Link();
    const { discovery, transport, counters, found } = link.daemon("192.168.0.1");
    discovery.start();
    const from = { address: "192.168.0.9", port: 5000 };
    for (let count = 0; count < 5; count += 1) {
      transport.handler(example({ kind: "presence" }), from);
      link.clock.advance(10_000);
    }
    assert.equal(counters.get("io.lan.answered"), 1);
    assert.equal(found.length, 1);
    link.clock.advance(20_000);
    transport.handler(example({ kind: "presence" }), from);
    assert.equal(found.length, 2);
    transport.handler(example({ kind: "answer" }), { ...from, address: "192.168.0.10" });
    link.clock.advance(1000);
    assert.equal(found.length, 3);
    assert.equal(counters.get("io.lan.answered"), 1);
  });

  it("believes no sender from elsewhere, no nonsense and no other network", () => {
    const link = new Link();
    const { discovery, transport, counters, found } = link.daemon("192.168.0.1", "office");
    discovery.start();
    const near = { address: "192.168.0.9", port: 5000 };
    transport.handler(example(), { ...near, address: "203.0.113.9" });
    transport.handler(example(), { ...near, port: 0 });
    transport.handler(Buffer.from("hello"), near);
    for (const network of ["public", "lan", "offices"]) {
      transport.handler(example({ network: networkTag(network) }), near);
    }
    assert.equal(counters.get("io.lan.strangers"), 2);
    assert.equal(counters.get("io.lan.malformed"), 1);
    assert.equal(counters.get("io.lan.otherNetworks"), 3);
    assert.deepEqual(found, []);
    transport.handler(example({ network: networkTag("office") }), near);
    assert.equal(found.length, 1);
  });

  it("keeps the interface of a link-local sender apart from its address", () => {
    const link = new Link();
    const { discovery, transport, found } = link.daemon("192.168.0.1");
    discovery.start();
    transport.handler(example(), { address: "fe80::5%eth1", port: 5000 });
    assert.equal(found[0]?.endpoint.text, "[fe80::5]:1");
    assert.equal(found[0].zone, "eth1");
  });

  it("is no amplifier and no loudspeaker: floods get few answers and few reports", () => {
    const link = new Link();
    const { discovery, transport, counters, found } = link.daemon("192.168.0.1");
    discovery.start();
    const flood = (addressOf: (index: number) => string): void => {
      for (let index = 0; index < 5000; index += 1) {
        const id = randomNodeId(link.random);
        transport.handler(example({ id }), { address: addressOf(index), port: 5000 });
        link.clock.advance(2);
      }
    };
    flood(() => "192.168.0.9");
    // Ten seconds: the burst of 30, and 10 a second.
    assert.ok(found.length <= 131 && found.length >= 100, `${found.length}`);
    assert.ok(counters.get("io.lan.limited") >= 4800);
    const before = counters.get("io.lan.answered");
    flood((index) => `192.168.${index >> 8}.${index & 255}`);
    const answered = counters.get("io.lan.answered") - before;
    // The burst of 40, and 20 a second.
    assert.ok(answered <= 242 && answered >= 150, `${answered}`);
  });

  it("says and hears nothing once it is closed", async () => {
    const link = new Link();
    const { discovery, transport, found } = link.daemon("192.168.0.1");
    discovery.start();
    transport.handler(example(), { address: "192.168.0.9", port: 5000 });
    await discovery.close();
    const { length } = link.sent;
    transport.handler(example(), { address: "192.168.0.10", port: 5000 });
    link.clock.advance(600_000);
    assert.equal(link.sent.length, length);
    assert.equal(found.length, 1);
    assert.equal(link.clock.pendingTimers, 0);
  });
});
