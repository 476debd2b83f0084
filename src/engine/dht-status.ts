/** What the DHT tells about itself, for status and page; JSON-able. */
import { commonPrefix } from "../base/node-id.ts";
import type { Family } from "../base/endpoint.ts";
import type { DhtNode } from "../dht/node.ts";
import type { JoinState } from "../dht/joining.ts";
import type { PublisherStatus } from "../dht/publisher.ts";
import type { Reachable } from "../dht/reachability.ts";

export type Share = "all" | "fresh" | "none";

export interface FamilyStatus {
  readonly family: Family;
  readonly state: JoinState;
  /** In the routing table, and newcomers that are being proved. */
  readonly contacts: number;
  readonly quarantined: number;
  /** Contacts by the number of leading bits that they share with our id. */
  readonly buckets: readonly number[];
  /** Nodes of the network, ourselves included; undefined before enough lookups. */
  readonly estimatedNodes: number | undefined;
  readonly held: {
    readonly values: number;
    readonly keys: number;
    readonly bytes: number;
    readonly publishers: number;
  };
  /** `address:port` as other nodes see us. */
  readonly outside: string | undefined;
  readonly reachability: Reachable;
  readonly publishing: PublishingStatus;
  readonly pendingQueries: number;
  readonly pendingLookups: number;
}

export interface PublishingStatus extends PublisherStatus {
  /** Whether holders are looked for. */
  readonly running: boolean;
  /** Why nothing, or not everything, is published; undefined: it is. */
  readonly note: string | undefined;
}

export interface DhtStatus {
  /** 40 hexadecimal digits. */
  readonly id: string;
  readonly network: string;
  /** As in our messages. */
  readonly version: string;
  readonly share: Share;
  readonly families: readonly FamilyStatus[];
}

export interface SharingStatus {
  /** Files that are published, or would be if anybody could fetch them. */
  readonly files: number;
  /** Milliseconds since 1970 of the last complete look through the store; undefined before it. */
  readonly scannedAtMs: number | undefined;
}

/** What the status says of the DHT. */
export type DhtReport =
  | { readonly state: "off" | "starting" | "stopped" }
  | { readonly state: "failed"; readonly reason: string }
  | ({
      readonly state: "on";
      readonly udpPort: number;
      readonly lanDiscovery: boolean;
      readonly sharing: SharingStatus | undefined;
    } & DhtStatus);

export const noPublisher: PublisherStatus = {
  ...{ keys: 0, placed: 0, holders: 0, pendingStores: 0, pendingLookups: 0 },
  ...{ offline: false, lastSweepMs: undefined },
};

export function familyStatus(
  node: DhtNode,
  family: Family,
  nowMs: number,
): Omit<FamilyStatus, "publishing"> {
  const estimate = node.size.estimate();
  return {
    ...{ family, state: node.joining.state, contacts: node.table.size },
    quarantined: node.keeper.quarantined,
    buckets: bucketSizes(node),
    estimatedNodes: estimate === undefined ? undefined : Math.round(estimate) + 1,
    held: {
      ...{ values: node.store.size, keys: node.store.keys },
      ...{ bytes: node.store.bytes, publishers: node.store.publishers },
    },
    outside: node.outside.current()?.text,
    reachability: node.reachability.state(nowMs),
    ...{ pendingQueries: node.pendingQueries, pendingLookups: node.pendingLookups },
  };
}

function bucketSizes(node: DhtNode): number[] {
  const sizes: number[] = [];
  for (const { id } of node.table.contacts()) {
    const depth = commonPrefix(node.id, id);
    while (sizes.length <= depth) sizes.push(0);
    sizes[depth] = (sizes[depth] ?? 0) + 1;
  }
  return sizes;
}
