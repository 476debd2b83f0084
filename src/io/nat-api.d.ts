/** What we use of the parts of @silentbot1/nat-api, which has no types. */
declare module "@silentbot1/nat-api/lib/pmp/index.js" {
  import type { EventEmitter } from "node:events";

  interface PortQuestion {
    readonly type: "TCP" | "UDP";
    readonly private: number;
    readonly public: number;
    /** Seconds; 0 removes. */
    readonly ttl: number;
  }

  /** One question at a time; what gets no answer holds up all that follow. */
  export default class PmpClient extends EventEmitter {
    constructor(gateway: string);
    portMapping(question: PortQuestion): Promise<{ readonly public: number }>;
    externalIp(): Promise<string>;
    close(): Promise<void>;
  }
}

declare module "@silentbot1/nat-api/lib/upnp/ssdp.js" {
  /** Sends by every interface that is not loopback. */
  export default class Ssdp {
    constructor();
    /** undefined: the first answer was about something else. */
    search(
      deviceType: string,
      timeoutMs: number,
    ): Promise<
      { readonly device: { readonly url?: string }; readonly address: string } | undefined
    >;
    destroy(): Promise<unknown>;
  }
}

declare module "@silentbot1/nat-api/lib/upnp/device.js" {
  export default class Device {
    constructor(options: { readonly url: string; readonly permanentFallback: boolean });
    /** One action of the WAN connection service → the SOAP body. */
    run(
      action: string,
      parameters: [name: string, value: string | number][],
    ): Promise<Readonly<Record<string, unknown>>>;
  }
}
