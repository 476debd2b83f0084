/** Where bytes go: UDP payload sent, by the kind of message. */
import type { Message } from "../../krpc/message.ts";
import type { Observed } from "../net/packet-network.ts";

export interface Flow {
  readonly kind: string;
  datagrams: number;
  bytes: number;
}

export class TrafficByKind {
  /** A dozen kinds. */
  readonly #flows = new Map<string, Flow>();
  /** Of all bytes, those that only fill queries up to the size of their answers. */
  paddingBytes = 0;

  readonly note = ({ message, sizeBytes }: Observed): void => {
    const kind = kindOf(message);
    let flow = this.#flows.get(kind);
    if (flow === undefined) {
      flow = { kind, datagrams: 0, bytes: 0 };
      this.#flows.set(kind, flow);
    }
    flow.datagrams++;
    flow.bytes += sizeBytes;
    if (message.kind === "query") this.paddingBytes += message.padding;
  };

  /** The largest first. */
  get flows(): readonly Flow[] {
    return [...this.#flows.values()].sort((a, b) => b.bytes - a.bytes);
  }

  bytesOf(kind: string): number {
    return this.#flows.get(kind)?.bytes ?? 0;
  }
}

/** An answer does not name its query, but its fields tell. */
function kindOf(message: Message): string {
  if (message.kind === "query") return message.query.method;
  if (message.kind === "error") return "error";
  const { nodes, values, held, stored, renewed, reached } = message.fields;
  if (nodes !== undefined) return held === undefined ? "find_node answer" : "find_value answer";
  if (values !== undefined || held !== undefined) return "get_value answer";
  if (stored !== undefined) return "store_value answer";
  if (renewed !== undefined) return "renew answer";
  return reached === undefined ? "ping answer" : "join answer";
}
