/**
 * The DHT as the rest of the daemon sees it: files by their digest, datagrams by their bytes, one
 * node id for both address families. It owns the nodes; sockets and files are somebody else's.
 */
import type { Counters } from "../base/counters.ts";
import { familyOf } from "../base/endpoint.ts";
import type { Endpoint, Family } from "../base/endpoint.ts";
import { idFromText, idText, keyOf, randomNodeId, sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Hashes, Random } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { LookupHandle } from "../dht/node.ts";
import type { Bootstrap, DhtRecords, DialBack } from "../dht/ports.ts";
import type { WalkProgress, WalkResult } from "../dht/walk.ts";
import { decodeMessage } from "../krpc/decode.ts";
import { encodeMessage } from "../krpc/encode.ts";
import type { Message } from "../krpc/message.ts";
import { encodeFileValue, encodePieceList, parseValue, pieceListKey } from "../krpc/value.ts";
import type { FileValue, PieceList } from "../krpc/value.ts";
import { DhtFamily } from "./dht-family.ts";
import type { Serving } from "./dht-gate.ts";
import { lookupPeers } from "./dht-lookup.ts";
import type { PeerLookupEvents } from "./dht-lookup.ts";
import { wireVersion } from "./dht-network.ts";
import type { DhtStatus, Share } from "./dht-status.ts";
import type { DatagramPort } from "./ports.ts";

export interface DhtServiceComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly hashes: Hashes;
  /** 20 bytes that nobody can guess. */
  readonly secret: () => Uint8Array;
  readonly counters: Counters;
  readonly records: DhtRecords;
  readonly port: DatagramPort;
  readonly dialBack: DialBack;
  readonly bootstrap: Bootstrap;
  /** This machine's addresses: what is published from there, at our port, is our own. */
  readonly ownAddresses: () => ReadonlySet<string>;
  /** Whether an address is private, or of a network to which this machine is attached. */
  readonly isNear: (address: string) => boolean;
}

export interface DhtServiceSettings {
  /** Those that the sockets have. */
  readonly families: readonly Family[];
  /** `public`, `lan` or a name. */
  readonly network: string;
  /** The program's. */
  readonly version: string;
  readonly share: Share;
  /** Where peers can fetch; undefined: nowhere, as of a node that serves the DHT alone. */
  readonly serving: Serving | undefined;
}

/** Where the node id stands. */
const idKey = "dht!id";

export type Published = "published" | "notShared" | "tooMany";

/** A walk through one family. */
export interface FamilyWalk extends WalkResult {
  readonly family: Family;
  /** Of the network's size, from the density of ids around what was looked up; ourselves included. */
  readonly estimatedNodes: number | undefined;
}

export interface DhtWalkEvents {
  readonly progress?: (progress: WalkProgress, family: Family) => void;
  /** Called once, unless cancelled before. */
  readonly done: (walks: readonly FamilyWalk[]) => void;
}

export class DhtService {
  readonly id: NodeId;
  readonly families: readonly DhtFamily[];
  readonly #with: DhtServiceComponents;
  readonly #settings: DhtServiceSettings;
  readonly #version: string;
  /** `lan`: nothing goes out to strangers, and nothing of theirs is heard. */
  readonly #nearOnly: boolean;
  #stopWalk: (() => void) | undefined;

  constructor(components: DhtServiceComponents, settings: DhtServiceSettings) {
    this.#with = components;
    this.#settings = settings;
    const { network, share, serving } = settings;
    this.#nearOnly = network === "lan";
    this.#version = wireVersion(components.hashes, network, settings.version);
    this.id = this.#ownId();
    const sharing = share === "none" ? undefined : serving;
    const port = { send: (to: Endpoint, message: Message) => this.#send(to, message) };
    this.families = settings.families.map(
      (family) =>
        new DhtFamily(
          { ...components, port, bootstrap: { endpoints: () => this.#hosts(family) } },
          {
            ...{ id: this.id, family, version: this.#version, serving: sharing },
            notServing: share === "none" ? "share is none" : "this daemon serves no files",
          },
        ),
    );
  }

  start(): void {
    for (const family of this.families) family.start();
  }

  /** Nobody is called any more. What must be remembered has been put into the records. */
  stop(): void {
    this.#stopWalk?.();
    for (const family of this.families) family.stop();
  }

  /** A datagram has come; its bytes are not kept. */
  receive(from: Endpoint, bytes: Uint8Array): void {
    const { counters, isNear } = this.#with;
    counters.add("dht.datagrams.received");
    counters.add("dht.bytes.received", bytes.length);
    const node = this.#family(from)?.node;
    if (node === undefined) return;
    if (this.#nearOnly && !isNear(from.address)) {
      counters.add("dht.datagrams.strangers");
      return;
    }
    const message = decodeMessage(bytes);
    if (message.kind !== "undecodable") {
      node.receive(from, message, bytes.length);
      return;
    }
    counters.add("dht.datagrams.malformed");
    const { transaction, code, problem } = message;
    if (transaction === undefined || code === undefined) return;
    node.receiveWrong(from, { transaction, code, text: problem }, bytes.length);
  }

  /** Somebody who may be a node: of the local network. */
  found(endpoint: Endpoint): void {
    if (this.#nearOnly && !this.#with.isNear(endpoint.address)) return;
    this.#family(endpoint)?.node.joining.found(endpoint);
  }

  /** Who has the file of this digest, or a part of it. */
  lookup(sha256: Sha256, events: PeerLookupEvents): LookupHandle {
    const { clock, counters } = this.#with;
    const isOwn = (publisher: Endpoint): boolean => this.#isOwn(publisher);
    return lookupPeers({ families: this.families, clock, counters, isOwn }, keyOf(sha256), events);
  }

  /** Publishes what this daemon has of a file, or changes what it says of it. */
  publish(sha256: Sha256, value: FileValue): Published {
    const { counters } = this.#with;
    if (this.#settings.share === "none") {
      counters.add("dht.publish.notShared");
      return "notShared";
    }
    const key = keyOf(sha256);
    const bytes = encodeFileValue(value);
    const taken = this.families.map((family) => family.publish(key, bytes));
    return taken.every(Boolean) ? "published" : "tooMany";
  }

  /** Publishes the hashes of a file's pieces under a key of their own (pieceListKey). */
  publishPieces(list: PieceList): void {
    if (this.#settings.share === "none") return;
    const key = pieceListKey(this.#with.hashes, list);
    const bytes = encodePieceList(list);
    for (const family of this.families) family.publish(key, bytes);
  }

  withdrawPieces(key: NodeId): void {
    for (const family of this.families) family.withdraw(key);
  }

  /** The list that is stored under this key, if somebody has it; `done` is called once, later. */
  lookupPieces(key: NodeId, done: (list: PieceList | undefined) => void): LookupHandle {
    const { hashes, clock } = this.#with;
    let found: PieceList | undefined;
    const searched = this.families.filter(({ node }) => node.table.size > 0);
    let left = searched.length;
    if (left === 0) return { cancel: clock.after(0, () => done(undefined)) };
    const handles = searched.map(({ node }) =>
      node.lookup(key, {
        values: (values) => {
          for (const { value } of values) {
            const parsed = parseValue(value);
            // Whoever stored it, its hash is its key.
            if (parsed.kind !== "pieces" || !sameId(pieceListKey(hashes, parsed.list), key))
              continue;
            found ??= parsed.list;
          }
        },
        done: () => {
          if (--left === 0) done(found);
        },
      }),
    );
    return {
      cancel: () => {
        for (const handle of handles) handle.cancel();
      },
    };
  }

  withdraw(sha256: Sha256): void {
    const key = keyOf(sha256);
    for (const family of this.families) family.withdraw(key);
  }

  /**
   * Walks through the network, one family after the other; a function that cancels it, or undefined
   * while another walk goes on.
   */
  walk(events: DhtWalkEvents): (() => void) | undefined {
    if (this.#stopWalk !== undefined) return undefined;
    const walks: FamilyWalk[] = [];
    const next = (): void => {
      const family = this.families[walks.length];
      if (family === undefined) {
        this.#stopWalk = undefined;
        events.done(walks);
        return;
      }
      const walk = family.walk({
        progress: (progress) => events.progress?.(progress, family.family),
        done: (result) => {
          const { estimatedNodes } = family.status();
          walks.push({ ...result, family: family.family, estimatedNodes });
          next();
        },
      });
      this.#stopWalk = () => {
        walk.cancel();
        this.#stopWalk = undefined;
      };
    };
    next();
    return () => this.#stopWalk?.();
  }

  status(): DhtStatus {
    const { network, share } = this.#settings;
    const families = this.families.map((family) => family.status());
    return { id: idText(this.id), network, version: this.#version, share, families };
  }

  #ownId(): NodeId {
    const { records, random } = this.#with;
    for (const [key, text] of records.initial(idKey)) {
      const id = key === idKey ? idFromText(text) : undefined;
      if (id !== undefined) return id;
    }
    const id = randomNodeId(random);
    records.put(idKey, idText(id));
    return id;
  }

  #family({ address }: Endpoint): DhtFamily | undefined {
    const family = familyOf(address);
    return this.families.find((each) => each.family === family);
  }

  async #hosts(family: Family): Promise<readonly Endpoint[]> {
    const { bootstrap, isNear } = this.#with;
    const all = await bootstrap.endpoints();
    return all.filter(
      ({ address }) => familyOf(address) === family && (!this.#nearOnly || isNear(address)),
    );
  }

  #send(to: Endpoint, message: Message): void {
    const { port, counters, isNear } = this.#with;
    if (this.#nearOnly && !isNear(to.address)) {
      counters.add("dht.datagrams.withheld");
      return;
    }
    const bytes = encodeMessage(message);
    counters.add("dht.datagrams.sent");
    counters.add("dht.bytes.sent", bytes.length);
    port.send(to, bytes);
  }

  #isOwn({ address, port }: Endpoint): boolean {
    if (port !== this.#settings.serving?.tcpPort) return false;
    if (this.#with.ownAddresses().has(address)) return true;
    return this.families.some(({ node }) => node.outside.current()?.address === address);
  }
}
