import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import net, { type AddressInfo } from "node:net";
import { describe, it } from "mocha";
import { probeSelf } from "../../src/io/self-probe.ts";

const signal = (): AbortSignal => AbortSignal.timeout(2000);

async function listening(server: net.Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

describe("probeSelf()", () => {
  it("hears a server that answers, also by the address that means all of them", async () => {
    const server = createServer((request, response) => response.end(request.url));
    const port = await listening(server);
    assert.equal(await probeSelf({ address: "127.0.0.1", port }, "/~/alive", signal()), "answered");
    assert.equal(await probeSelf({ address: "0.0.0.0", port }, "/~/alive", signal()), "answered");
    server.close();
  });

  it("takes no offence at a server that has too many connections", async () => {
    const server = createServer(() => assert.fail("there is no room for it"));
    server.maxConnections = 1;
    const port = await listening(server);
    const other = net.connect(port, "127.0.0.1");
    await once(server, "connection");
    assert.equal(await probeSelf({ address: "127.0.0.1", port }, "/", signal()), "full");
    other.destroy();
    server.close();
  });

  it("rejects where nobody listens, and where nobody answers", async () => {
    const server = net.createServer((socket) => socket.resume());
    const port = await listening(server);
    const silent = probeSelf({ address: "127.0.0.1", port }, "/", AbortSignal.timeout(200));
    await assert.rejects(silent, { code: "CLOSED", message: /no answer at 127\.0\.0\.1/ });
    server.close();
    await once(server, "close");
    const gone = probeSelf({ address: "127.0.0.1", port }, "/", signal());
    await assert.rejects(gone, { code: "UPSTREAM", message: /nobody listens/ });
  });

  it("blames no server for an address that the machine does not have", async () => {
    const probe = probeSelf({ address: "192.0.2.77", port: 9 }, "/", signal());
    assert.equal(await probe, "unreachable");
  });
});
