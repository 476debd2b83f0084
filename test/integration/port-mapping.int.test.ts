/** Asking a router for ports: NAT-PMP on loopback, with a router that behaves and others that do not. */
import assert from "node:assert/strict";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { after, afterEach, before, describe, it } from "mocha";
import type { askRouter } from "../../src/io/port-mapping.ts";
import type { RouterRound } from "../../src/io/router-round.ts";
import { bundle } from "../kit/bundle.ts";

/** RFC 6886, 1.1: routers listen there, and nowhere else. */
const routerPort = 5351;
const gateway = "127.0.0.1";
const wishes = [
  { protocol: "TCP", port: 9977 },
  { protocol: "UDP", port: 9978 },
] as const;
const map: RouterRound = {
  ...{ kind: "map", wishes, gateway, lifetimeSeconds: 7200, description: "apt-p2p" },
};

type Router = (question: Buffer) => Buffer | undefined;

/** Version 0, the operation's answer, a result, seconds since the router's start. */
function answerTo(question: Buffer, result: number, rest: Buffer): Buffer {
  const head = Buffer.from([0, 128 + (question[1] ?? 0), 0, result, 0, 0, 1, 0]);
  return Buffer.concat([head, rest]);
}

/** Gives what is asked for, and remembers it: `TCP 9977 7200`. */
function honest(given: string[]): Router {
  return (question) => {
    if (question[1] === 0) return answerTo(question, 0, Buffer.from([203, 0, 113, 5]));
    const [inside, outside] = [question.readUInt16BE(4), question.readUInt16BE(6)];
    const lifetime = question.readUInt32BE(8);
    given.push(`${question[1] === 1 ? "UDP" : "TCP"} ${inside}>${outside} ${lifetime}`);
    return answerTo(question, 0, question.subarray(4, 12));
  };
}

describe("askRouter(), NAT-PMP", function () {
  this.timeout(30_000);
  let socket: Socket | undefined;
  let asking: typeof askRouter;
  let remove = (): void => undefined;

  before(async function () {
    const made = await bundle("src/io/port-mapping.ts");
    remove = made.remove;
    ({ askRouter: asking } = (await import(made.path)) as { askRouter: typeof askRouter });
    const probe = createSocket("udp4");
    const bound = once(probe, "listening").then(
      () => true,
      () => false,
    );
    probe.bind(routerPort, gateway);
    const free = await bound;
    if (free) probe.close();
    else this.skip();
  });
  after(() => remove());
  afterEach(() => {
    socket?.close();
    socket = undefined;
  });

  async function router(behaviour: Router): Promise<void> {
    const made = createSocket("udp4");
    made.on("message", (question: Buffer, from: RemoteInfo) => {
      const answer = behaviour(question);
      if (answer !== undefined) made.send(answer, from.port, from.address);
    });
    made.bind(routerPort, gateway);
    await once(made, "listening");
    socket = made;
  }
  const ask = (round: RouterRound, withinMs = 20_000): ReturnType<typeof askRouter> =>
    asking(round, AbortSignal.timeout(withinMs));

  it("maps both ports, and gives them back", async () => {
    const given: string[] = [];
    await router(honest(given));
    const mapped = await ask(map);
    assert.deepEqual(mapped, {
      how: { by: "NAT-PMP", gateway },
      mappings: wishes.map((wish) => ({ ...wish, externalPort: wish.port })),
      externalAddress: "203.0.113.5",
    });
    assert.deepEqual(given.splice(0), ["TCP 9977>9977 7200", "UDP 9978>9978 7200"]);
    await ask({ kind: "unmap", wishes, how: mapped.how });
    assert.deepEqual(given, ["TCP 9977>0 0", "UDP 9978>0 0"]);
  });

  it("tells which port was given instead of the one that was asked for", async () => {
    const honestly = honest([]);
    await router((question) => {
      const answer = honestly(question);
      if (question[1] !== 0) answer?.writeUInt16BE(40_000, 10);
      return answer;
    });
    const { mappings } = await ask(map);
    assert.deepEqual(
      mappings.map(({ externalPort }) => externalPort),
      [40_000, 40_000],
    );
  });

  it("asks again when a question is lost", async () => {
    const honestly = honest([]);
    let questions = 0;
    await router((question) => (questions++ % 2 === 0 ? undefined : honestly(question)));
    assert.equal((await ask(map)).mappings.length, 2);
    assert.ok(questions >= 6);
  });

  it("survives answers that no router gives", async () => {
    const bad: readonly Router[] = [
      () => Buffer.alloc(0),
      () => Buffer.from([0]),
      (question) => Buffer.from([0, 128 + (question[1] ?? 0)]),
      (question) => answerTo(question, 0, Buffer.alloc(0)),
      () => Buffer.alloc(1200, 0xff),
    ];
    for (const behaviour of bad) {
      await router(behaviour);
      await assert.rejects(ask({ kind: "unmap", wishes, how: { by: "NAT-PMP", gateway } }), {
        code: "UPSTREAM",
      });
      socket?.close();
      socket = undefined;
    }
  });

  it("passes a refusal on, and ends when it is told to", async () => {
    await router((question) => answerTo(question, 2, Buffer.alloc(8)));
    const how = { by: "NAT-PMP", gateway } as const;
    await assert.rejects(ask({ kind: "unmap", wishes, how }), /Not Authorized/);
    socket?.close();
    await router(() => undefined);
    const begun = performance.now();
    await assert.rejects(ask({ kind: "unmap", wishes, how }, 500), { code: "CLOSED" });
    assert.ok(performance.now() - begun < 2500);
  });
});
