/** The two sides of a host's attachment to the packet network: what it brings, and what it gets. */
import type { Endpoint } from "../../base/endpoint.ts";
import type { Message } from "../../krpc/message.ts";
import type { MessagePort } from "../../krpc/ports.ts";
import { NatGateway, type NatSettings } from "./nat.ts";

export interface SimHost {
  /** Its place in the latency model; a restarted host keeps it. */
  readonly index: number;
  /** Where it is reached from outside: behind a NAT the gateway's address and the host's port. */
  readonly endpoint: Endpoint;
  /** Without it the host is open. */
  readonly nat?: NatSettings;
  /** It loses more, both ways, and takes long to look at what it gets. */
  readonly overloaded?: boolean;
  /** A datagram has come. `from` is the sender as seen outside, `bytes` its size if sizes are counted. */
  receive(from: Endpoint, message: Message, bytes: number): void;
}

/** What a host sent, and what came to it (not what was lost on the way). Bytes: UDP payload. */
export interface Traffic {
  readonly sentDatagrams: number;
  readonly sentBytes: number;
  readonly receivedDatagrams: number;
  readonly receivedBytes: number;
}

export interface HostPort extends MessagePort {
  readonly index: number;
  /** As seen outside, now. */
  readonly endpoint: Endpoint;
  readonly attached: boolean;
  /** Since it was attached; goes on being readable afterwards. */
  readonly traffic: Traffic;
  /** May be changed at any time. */
  overloaded: boolean;
  /** Whether a datagram from there would be let in at this time. */
  admits(from: Endpoint, nowMs: number): boolean;
  /** The host dies: what it sends and what is on its way to it vanishes. */
  detach(): void;
  /** It has another address from now on, its gateway is a new one, and pinholes are gone. */
  moveTo(endpoint: Endpoint): void;
}

/** The part of the network that an attachment calls. */
export interface Carrier {
  send(from: Attachment, to: Endpoint, message: Message): void;
  detach(attachment: Attachment): void;
  move(attachment: Attachment, endpoint: Endpoint): void;
}

/** The network's own view of a host. Fields are written by `PacketNetwork` alone. */
export class Attachment implements HostPort {
  readonly index: number;
  readonly host: SimHost;
  endpoint: Endpoint;
  /** undefined if nothing is between the host and the Internet. */
  gateway: NatGateway | undefined;
  attached = true;
  /** Counts its addresses: what was sent to an earlier one does not follow it. */
  epoch = 0;
  overloaded: boolean;
  readonly traffic = { sentDatagrams: 0, sentBytes: 0, receivedDatagrams: 0, receivedBytes: 0 };
  readonly #carrier: Carrier;

  constructor(host: SimHost, carrier: Carrier) {
    this.index = host.index;
    this.host = host;
    this.endpoint = host.endpoint;
    this.gateway = gatewayOf(host, host.endpoint);
    this.overloaded = host.overloaded ?? false;
    this.#carrier = carrier;
  }

  send(to: Endpoint, message: Message): void {
    if (this.attached) this.#carrier.send(this, to, message);
  }

  admits(from: Endpoint, nowMs: number): boolean {
    return this.gateway?.admits(from, this.endpoint, nowMs) ?? true;
  }

  detach(): void {
    if (this.attached) this.#carrier.detach(this);
  }

  moveTo(endpoint: Endpoint): void {
    if (this.attached) this.#carrier.move(this, endpoint);
  }
}

export function gatewayOf({ nat }: SimHost, outside: Endpoint): NatGateway | undefined {
  return nat === undefined || nat.kind === "open" ? undefined : new NatGateway(outside, nat);
}
