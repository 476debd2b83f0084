import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { endpoint } from "../../../src/base/endpoint.ts";
import { minute } from "../../../src/base/units.ts";
import { OutsideAddress } from "../../../src/dht/outside-address.ts";

const home = endpoint("203.0.113.5", 9977);
const moved = endpoint("203.0.113.66", 9977);
const lie = endpoint("203.0.113.99", 1);

/** Tellers in subnets of their own. */
const teller = (n: number) => endpoint(`198.51.${n}.1`, 9977);
/** Tellers in one subnet. */
const liar = (n: number) => endpoint(`192.0.2.${n}`, 9977);

describe("OutsideAddress", () => {
  it("believes three subnets that agree, and stays with it", () => {
    const own = new OutsideAddress();
    assert.equal(own.note(teller(1), home, 0), "same");
    assert.equal(own.note(teller(1), home, 0), "same", "the same teller again is no second vote");
    assert.equal(own.note(teller(2), home, 0), "same");
    assert.equal(own.current(), undefined);
    assert.equal(own.note(teller(3), home, 0), "first");
    assert.deepEqual(own.current(), home);
    assert.equal(own.note(teller(4), home, 0), "same");
  });

  it("is not told by one /24, however many of it speak", () => {
    const own = new OutsideAddress();
    for (let n = 1; n < 255; n++) assert.equal(own.note(liar(n), lie, 0), "same");
    assert.equal(own.current(), undefined);
    for (let n = 0; n < 3; n++) own.note(teller(n), home, 0);
    for (let n = 1; n < 255; n++) assert.equal(own.note(liar(n), lie, 0), "same");
    assert.deepEqual(own.current(), home);
  });

  it("is not told by a /64, nor by a minority of subnets", () => {
    const own = new OutsideAddress();
    const seen = endpoint("2001:db8:5::5", 9977);
    const false6 = endpoint("2001:db8:666::5", 9977);
    for (let n = 1; n < 200; n++) own.note(endpoint(`2001:db8:0:1::${n}`, 9977), false6, 0);
    assert.equal(own.current(), undefined);
    for (let n = 1; n <= 5; n++) own.note(endpoint(`2001:db8:1:${n}::1`, 9977), seen, 0);
    for (let n = 1; n <= 4; n++) own.note(endpoint(`2001:db8:2:${n}::1`, 9977), false6, 0);
    assert.deepEqual(own.current(), seen);
  });

  it("tells when most see another address, and not before", () => {
    const own = new OutsideAddress();
    for (let n = 0; n < 20; n++) own.note(teller(n), home, 0);
    const news = Array.from({ length: 12 }, (_, n) => own.note(teller(n), moved, minute));
    assert.equal(news.indexOf("changed"), 10, "the eleventh of twenty makes the majority");
    assert.equal(news.filter((one) => one === "changed").length, 1);
    assert.deepEqual(own.current(), moved);
  });

  it("forgets old votes, but not the address", () => {
    const own = new OutsideAddress();
    for (let n = 0; n < 20; n++) own.note(teller(n), home, 0);
    assert.equal(own.note(teller(50), moved, 31 * minute), "same");
    assert.deepEqual(own.current(), home, "one voice after the others' silence");
    assert.equal(own.note(teller(51), moved, 31 * minute), "same");
    assert.equal(own.note(teller(52), moved, 31 * minute), "changed");
  });

  it("forgets old votes also behind one that was given again", () => {
    const own = new OutsideAddress();
    for (let n = 0; n < 3; n++) own.note(teller(n), home, 0);
    own.note(teller(0), home, 29 * minute);
    const news = [10, 11, 12].map((n) => own.note(teller(n), moved, 40 * minute));
    assert.deepEqual(news, ["same", "same", "changed"]);
  });

  it("counts the last 32 tellers", () => {
    const own = new OutsideAddress();
    for (let n = 0; n < 200; n++) own.note(teller(n), home, 0);
    for (let n = 0; n < 16; n++) assert.equal(own.note(teller(200 + n), moved, 1), "same");
    assert.equal(own.note(teller(216), moved, 1), "changed");
  });

  it("takes the port that most tellers see, behind a NAT that changes it", () => {
    const own = new OutsideAddress();
    for (let n = 0; n < 3; n++) own.note(teller(n), endpoint(home.address, 4000 + n), 0);
    for (let n = 3; n < 5; n++) own.note(teller(n), endpoint(home.address, 5000), 0);
    assert.equal(own.note(teller(5), endpoint(home.address, 5000), 0), "same");
    assert.equal(own.current()?.text, "203.0.113.5:5000");
  });

  it("prefers what the Internet sees, and believes neighbours only about the own network", () => {
    const own = new OutsideAddress();
    const inside = endpoint("10.0.0.5", 9977);
    const neighbour = (n: number) => endpoint(`10.0.0.${n}`, 9977);
    assert.equal(own.note(neighbour(1), lie, 0), "same");
    assert.equal(own.note(neighbour(2), lie, 0), "same");
    assert.equal(own.note(neighbour(3), lie, 0), "same");
    assert.equal(own.note(teller(1), inside, 0), "same");
    assert.equal(own.current(), undefined);
    own.note(neighbour(1), inside, 0);
    assert.equal(own.note(neighbour(2), inside, 0), "first");
    assert.deepEqual(own.current(), inside);
    for (let n = 0; n < 3; n++) own.note(teller(n), home, 0);
    assert.deepEqual(own.current(), home);
    const other = endpoint("10.0.9.9", 9977);
    for (let n = 0; n < 9; n++) assert.equal(own.note(neighbour(n), other, 0), "same");
  });

  it("ignores an address of the other family", () => {
    const own = new OutsideAddress();
    for (let n = 0; n < 9; n++) own.note(teller(n), endpoint("2001:db8::5", 9977), 0);
    assert.equal(own.current(), undefined);
  });
});
