import type { Endpoint } from "../base/endpoint.ts";
import type { Message } from "./message.ts";

/** Sends one message as one datagram. Never throws, never waits; what gets lost gets lost. */
export interface MessagePort {
  send(to: Endpoint, message: Message): void;
}
