/**
 * Who may ask what. apt of this machine, and of networks that the administrator allowed; no web page
 * (DNS rebinding, cross-site requests), and strangers only what daemons may have of each other.
 */
import type { IncomingHttpHeaders } from "node:http";
import { isLoopback, networkTest, type Network } from "../engine/address-rules.ts";

export interface AccessSettings {
  /** Client networks beside loopback. */
  readonly allow: readonly Network[];
  /** Further names by which clients may call this daemon. */
  readonly hosts: readonly string[];
}

export interface Peer {
  readonly remoteAddress: string;
  readonly localAddress: string;
}

export interface Refusal {
  readonly status: 403 | 421;
  readonly text: string;
}

const misnamed: Refusal = {
  status: 421,
  text: "this apt-p2p is not the host that the request names",
};

export class Access {
  #allowed: (address: string) => boolean = () => false;
  #hosts: ReadonlySet<string> = new Set();

  constructor(settings: AccessSettings) {
    this.change(settings);
  }

  /** From the next request on, also of open connections. */
  change({ allow, hosts }: AccessSettings): void {
    this.#allowed = networkTest(allow);
    this.#hosts = new Set(["localhost", ...hosts.map((host) => host.toLowerCase())]);
  }

  /** Whether it is one of those that may use this daemon as apt does. */
  isClient({ remoteAddress, localAddress }: Peer): boolean {
    const local = isLoopback(remoteAddress) && isLoopback(localAddress);
    return local || this.#allowed(remoteAddress);
  }

  /** undefined: welcome. What daemons ask of each other is asked by anybody but web pages. */
  refusePeer(headers: IncomingHttpHeaders): Refusal | undefined {
    if (!this.#named(headers.host ?? "")) return misnamed;
    return fromBrowser(headers) ? { status: 403, text: "this is for daemons" } : undefined;
  }

  /** undefined: welcome. `page`: the request is for the status page, which a browser may see. */
  refuse(
    peer: Peer,
    request: { readonly url: string; readonly headers: IncomingHttpHeaders },
  ): Refusal | undefined {
    if (!this.isClient(peer)) {
      return { status: 403, text: "this apt-p2p serves apt of its own machine only" };
    }
    if (request.url.startsWith("/") && !this.#named(request.headers.host ?? "")) {
      return misnamed;
    }
    if (request.url !== "/" && fromBrowser(request.headers)) {
      return { status: 403, text: "apt-p2p serves apt, not web pages" };
    }
    return undefined;
  }

  /**
   * The path of an absolute URL that names this daemon itself; undefined: it names another host.
   * A source with our prefix under a global proxy setting makes such requests.
   */
  ownPath(
    url: string,
    {
      localAddress,
      localPort,
    }: { localAddress?: string | undefined; localPort?: number | undefined },
  ): string | undefined {
    const match = /^http:\/\/([^/]+?)(?::(\d+))?(\/.*)$/i.exec(url);
    const [, host = "", port = "80", path] = match ?? [];
    if (path === undefined || Number(port) !== localPort) return undefined;
    const name = host.toLowerCase().replace(/^\[|\]$/g, "");
    return this.#hosts.has(name) || isLoopback(name) || name === localAddress ? path : undefined;
  }

  /** Address literals pass: a web page's name can be rebound to us, a literal cannot. */
  #named(hostHeader: string): boolean {
    const host = hostHeader.toLowerCase().replace(/:\d+$/, "");
    return this.#hosts.has(host) || /^(?:\[[0-9a-f:.]+\]|\d{1,3}(?:\.\d{1,3}){3})$/.test(host);
  }
}

function fromBrowser(headers: IncomingHttpHeaders): boolean {
  return (
    headers.origin !== undefined ||
    headers.referer !== undefined ||
    headers["sec-fetch-site"] !== undefined ||
    headers["sec-fetch-mode"] !== undefined
  );
}
