/** Mirrors that speak https: by HTTPS/// prefix, by CONNECT, and by the list of upgraded hosts. */
import { makeCertificate } from "../../kit/certificate.ts";
import type { Certificate } from "../../kit/certificate.ts";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { installBoth, twoPackages } from "./plain.ts";

const topic = "https";
/** CONNECT goes to port 443 alone, so each world has a loopback address of its own for it. */
let lastAddress = 10;

async function certificate(world: World, address: string): Promise<Certificate> {
  return (await makeCertificate(address)) ?? world.skip("there is no openssl here");
}

export const https: readonly Scenario[] = [
  {
    name: "https-by-prefix",
    topic,
    quick: true,
    play: async (world) => {
      if (world.way === "proxy") world.skipWay("apt sends https through CONNECT in this way");
      const tls = await certificate(world, "127.0.0.1");
      await world.serve(await world.archive({ packages: twoPackages }), { tls });
      await world.start({
        configuration: [`Acquire::https::CAInfo "${tls.certPath}";`],
        daemon: { environment: { NODE_EXTRA_CA_CERTS: tls.certPath } },
      });
      await world.apt("update");
      await world.apt(installBoth);
      await world.again();
    },
  },
  {
    name: "https-by-connect",
    topic,
    quick: true,
    play: async (world) => {
      if (world.way === "prefix") world.skipWay("CONNECT is the proxy's way");
      if (process.getuid?.() !== 0) world.skip("port 443 needs root");
      const host = `127.0.99.${++lastAddress}`;
      const tls = await certificate(world, host);
      await world.serve(await world.archive({ packages: twoPackages }), { tls, host, port: 443 });
      await world.start({
        configuration: [`Acquire::https::CAInfo "${tls.certPath}";`],
        daemon: { allowUpstreams: [host] },
      });
      await world.apt("update");
      await world.apt("update");
      await world.apt(installBoth);
    },
  },
  {
    name: "https-by-upgrade",
    topic,
    play: async (world) => {
      if (process.getuid?.() !== 0) world.skip("ports 80 and 443 need root");
      const host = `127.0.99.${++lastAddress}`;
      const tls = await certificate(world, host);
      const archive = await world.archive({ packages: twoPackages });
      const mirror = await world.serve(
        archive,
        world.throughUs ? { host, port: 443, tls } : { host, port: 80 },
      );
      const base =
        world.way === "prefix"
          ? `http://127.0.0.1:${world.daemonPort}/${host}/`
          : `http://${host}/`;
      await world.start({
        sources: [`deb ${base} stable main`],
        daemon: {
          allowUpstreams: [host],
          settings: { mirror: [`https_hosts = ${host}`] },
          environment: { NODE_EXTRA_CA_CERTS: tls.certPath },
        },
      });
      await world.apt("update");
      await world.apt(installBoth);
      await world.again();
      world.check(mirror.log.length > 0, "the https mirror saw nothing");
    },
  },
];
