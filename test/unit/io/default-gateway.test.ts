import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { defaultGateway } from "../../../src/io/default-gateway.ts";

const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
const row = (destination: string, gateway: string, flags: string, metric: number, mask: string) =>
  `eth0\t${destination}\t${gateway}\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0`;

describe("defaultGateway()", () => {
  const none = "00000000";

  it("is the router of the default route with the least metric", () => {
    const text = [
      head,
      row(none, "FE01A8C0", "0003", 600, none),
      row(none, "0102A8C0", "0003", 100, none),
      row("0002A8C0", none, "0001", 0, "00FFFFFF"),
    ].join("\n");
    assert.equal(
      defaultGateway(() => text),
      "192.168.2.1",
    );
  });

  it("is undefined without one", () => {
    const others = [
      row("0002A8C0", "0102A8C0", "0003", 0, "00FFFFFF"),
      // A link without a router, a route that is down, half of the internet.
      row(none, none, "0001", 0, none),
      row(none, "0102A8C0", "0002", 0, none),
      row(none, "0102A8C0", "0003", 0, "00000080"),
      "garbage",
    ];
    assert.equal(
      defaultGateway(() => [head, ...others, ""].join("\n")),
      undefined,
    );
    const missing = (): string => {
      throw new Error("ENOENT");
    };
    assert.equal(defaultGateway(missing), undefined);
  });
});
