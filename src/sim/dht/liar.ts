/**
 * Hostile nodes. Each runs a real node, so that it is known and kept in tables, and answers what it
 * likes to those who search:
 * - nodes that do not exist, right beside the target, as many as a datagram holds;
 * - no values, but a huge number of them, so that somebody pages for them;
 * - that it has stored what it threw away, and that it still has it.
 */
import { endpoint } from "../../base/endpoint.ts";
import type { Endpoint } from "../../base/endpoint.ts";
import { idBits, idWithPrefix } from "../../base/node-id.ts";
import type { NodeId } from "../../base/node-id.ts";
import { fitAnswer } from "../../krpc/encode.ts";
import { maxDatagramBytes } from "../../krpc/message.ts";
import type { AnswerFields, Message, NodeInfo, QueryMessage } from "../../krpc/message.ts";
import { wireLimits } from "../../krpc/sizes.ts";
import type { SeededRandom } from "../seeded-random.ts";
import type { Machine } from "./machine.ts";

export interface LiarSettings {
  readonly random: SeededRandom;
  /** Named to those who search; without any, nodes that do not exist. */
  readonly friends?: readonly NodeInfo[];
}

/** As many as an answer holds. */
const namedNodes = 32;

/** A value for `MachineTraits.intercept`. */
export function liar(
  settings: LiarSettings,
): (machine: Machine, from: Endpoint, message: Message) => boolean {
  return (machine, from, message) => {
    const fields = message.kind === "query" ? lie(settings, message) : undefined;
    if (message.kind !== "query" || fields === undefined) return false;
    const answer = {
      ...({ kind: "answer", transaction: message.transaction, version: message.version } as const),
      ...{ id: machine.traits.id, seen: from, token: settings.random.bytes(8), fields },
    };
    machine.run?.port.send(from, fitAnswer(answer, maxDatagramBytes));
    return true;
  };
}

/** undefined: the node itself answers. */
function lie(settings: LiarSettings, { query }: QueryMessage): AnswerFields | undefined {
  switch (query.method) {
    case "find_node":
      return { nodes: named(settings, query.target) };
    case "find_value":
      return { nodes: named(settings, query.key), values: [], held: wireLimits.count };
    case "get_value":
      return { values: [], held: wireLimits.count };
    case "store_value":
      return { stored: query.values.length };
    case "renew":
      return { renewed: true };
    case "ping":
    case "join":
      return undefined;
  }
}

function named({ random, friends }: LiarSettings, target: NodeId): readonly NodeInfo[] {
  if (friends !== undefined && friends.length > 0) {
    return Array.from({ length: namedNodes }, () => random.pick(friends));
  }
  return Array.from({ length: namedNodes }, () => ({
    id: idWithPrefix(target, 24 + random.below(idBits - 24), random),
    endpoint: inventedEndpoint(random),
  }));
}

/** In blocks in which the laboratory has no hosts. */
export function inventedEndpoint(random: SeededRandom): Endpoint {
  const octet = (): number => 1 + random.below(254);
  return endpoint(`${30 + random.below(20)}.${octet()}.${octet()}.${octet()}`, 9977);
}
