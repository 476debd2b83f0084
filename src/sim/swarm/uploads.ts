/** What a simulated machine serves: the upload gate of the daemon, modelled links in place of HTTP. */
import type { Endpoint } from "../../base/endpoint.ts";
import { limits } from "../../base/limits.ts";
import { wireBounds } from "../../swarm/peer-wire.ts";
import { News } from "../../swarm/news.ts";
import type { StateQuestion } from "../../swarm/ports.ts";
import { PieceMap } from "../../swarm/piece-map.ts";
import { pieceEnd, pieceLength, pieceStart } from "../../swarm/shape.ts";
import { sampleOf } from "../../swarm/sample.ts";
import { Sowing } from "../../swarm/sowing.ts";
import type { Failure, Load, PieceRequest } from "../../swarm/types.ts";
import { defaultUploadLimits, UploadGate, type Slot } from "../../swarm/upload-gate.ts";
import { Stream, type Host } from "./links.ts";
import type { Machine, Serving, Setting, Upload } from "./setting.ts";

interface Watcher {
  readonly asker: Machine;
  readonly news: News;
  /** It is to be told of the next change; of others it is known that they are. */
  quiet: boolean;
}

export class Uploads implements Serving {
  readonly gate: UploadGate;
  readonly #world: Setting;
  readonly #member: Machine;
  /** Who has asked lately, as in engine/peer-askers.ts. */
  readonly #askers = new Map<Machine, number>();
  readonly #paced: boolean;
  readonly #sowing: Sowing;
  #sownCopy: PieceMap | undefined;
  #sownOf: PieceMap | undefined;
  readonly #watchers = new Set<Watcher>();
  /** Those of them: there are many changes, and few of them are news to anybody. */
  #quiet: Watcher[] = [];
  /** What was here when it was last copied, and of which map; undefined: other pieces since. */
  #copy: PieceMap | undefined;
  #copied: PieceMap | undefined;
  readonly #uploads = new Set<Upload>();

  constructor(world: Setting, member: Machine) {
    this.#world = world;
    this.#member = member;
    this.#sowing = new Sowing(world.shape.pieces);
    const wanted = { ...defaultUploadLimits, farRate: Infinity, ...member.plan.limits };
    this.#paced = wanted.nearRate + wanted.farRate + wanted.ratePerPeer < Infinity;
    this.gate = new UploadGate(world.clock, wanted);
  }

  /** Begins uploads that never end, to somebody beyond this world. */
  startBackground(sink: Host): void {
    const { background = 0 } = this.#member.plan;
    for (let index = 0; index < background; index++) {
      const address = `192.0.2.${index + 1}`;
      const begin = (): void =>
        new Stream(this.#member.host, sink, 0, { arrived: () => undefined }).put(Infinity);
      this.gate.enter({ address, near: this.#world.near }, begin);
    }
  }

  load(): Load {
    const load = this.gate.load();
    return this.#member.plan.claimsIdle === true ? { ...load, active: 0, queued: 0 } : load;
  }

  /** Somebody asks for pieces; the question has come. */
  asked(upload: Upload): void {
    const { asker, request } = upload;
    const { trouble } = this.#member.plan;
    this.#note(asker);
    if (!this.#has(request)) this.#refuse(upload, { kind: "missing" });
    else if (trouble === "busy") this.#refuse(upload, { kind: "busy", retryAfterMs: 1000 });
    else if (trouble === "leaves") this.#refuse(upload, { kind: "broken" });
    else {
      if (!this.#sow(upload)) return;
      const bytes = this.#bytesOf(request);
      const who = { address: asker.endpoint.address, near: this.#world.near };
      if (!this.gate.allows(who, bytes)) this.#refuse(upload, { kind: "missing" });
      else {
        const wanted = { bytes, rare: this.#isRare(request) };
        const leave = this.gate.enter(who, (slot) => this.#begin(upload, slot), wanted);
        const retryAfterMs = 1000 * this.gate.retryAfterS;
        if (leave === undefined) this.#refuse(upload, { kind: "busy", retryAfterMs });
        else upload.leaveQueue = leave;
      }
    }
  }

  /** Somebody asks what is here. */
  askedState(asker: Machine, { names, everyMs }: StateQuestion): void {
    this.#note(asker);
    const follows = everyMs !== undefined && this.#watchers.size < limits.heldQuestions;
    if (!follows || this.#member.whole) {
      this.#tellState(asker, { names, last: true });
      return;
    }
    this.#tellState(asker, { names, last: false });
    const news = new News(this.#world.clock, everyMs, (due) => {
      const last = due || this.#member.whole || !asker.listens;
      if (last) {
        news.end();
        this.#watchers.delete(watcher);
      } else this.#rests(watcher);
      this.#tellState(asker, { names: false, last });
    });
    const watcher = { asker, news, quiet: false };
    this.#watchers.add(watcher);
    this.#rests(watcher);
  }

  /** It knows all that there is to know. */
  #rests(watcher: Watcher): void {
    if (!watcher.quiet) this.#quiet.push(watcher);
    watcher.quiet = true;
  }

  /** Other pieces are here, or are being fetched from the mirror: whoever waits for news has them. */
  changed(): void {
    this.#copy = undefined;
    const { whole } = this.#member.have;
    const told = whole ? [...this.#watchers] : this.#quiet;
    this.#quiet = [];
    for (const watcher of told) {
      watcher.quiet = false;
      watcher.news.changed(whole);
    }
  }

  /** It is not there any more: with `cut`, connections end and others notice. */
  close(cut: boolean): void {
    for (const upload of [...this.#uploads]) {
      if (cut) this.#refuse(upload, { kind: "broken" });
      else upload.end();
    }
    for (const { asker, news } of this.#watchers) {
      news.end();
      if (cut) asker.stateFailed(this.#member, this.#latencyMs(asker));
    }
    this.#watchers.clear();
  }

  #note(asker: Machine): void {
    const nowMs = this.#world.clock.monotonicMs();
    if (nowMs - (this.#askers.get(asker) ?? -Infinity) < notedMs) return;
    this.#askers.delete(asker);
    this.#askers.set(asker, nowMs);
    if (this.#askers.size > limits.askersPerFile) {
      for (const [first] of this.#askers) {
        this.#askers.delete(first);
        break;
      }
    }
    if (!this.#member.whole) this.#member.transfer?.addPeers([asker.info("unknown", "asker")]);
  }

  /** False: it is refused. */
  #sow(upload: Upload): boolean {
    const { request } = upload;
    if (request.unsown !== true || !this.#member.whole) return true;
    const nowMs = this.#world.clock.monotonicMs();
    upload.unsow = this.#sowing.sow(request.piece, request.count, nowMs);
    if (upload.unsow === undefined) this.#refuse(upload, { kind: "sown", sown: this.#sown });
    return upload.unsow !== undefined;
  }

  /** A copy for all who hear of it before there is more. */
  get #sown(): PieceMap | undefined {
    const { sown } = this.#sowing;
    if (sown.count === 0) return undefined;
    if (this.#sownOf !== sown || this.#sownCopy?.count !== sown.count) {
      [this.#sownOf, this.#sownCopy] = [sown, sown.copy()];
    }
    return this.#sownCopy;
  }

  #has({ piece, count }: PieceRequest): boolean {
    const { have } = this.#member;
    for (let at = piece; at < piece + count; at++) if (!have.has(at)) return false;
    return true;
  }

  #isRare({ piece, count }: PieceRequest): boolean {
    const { whole, transfer } = this.#member;
    if (whole || transfer === undefined) return false;
    for (let at = piece; at < piece + count; at++) if (transfer.rarity.has(at)) return true;
    return false;
  }

  #bytesOf({ piece, count }: PieceRequest): number {
    return pieceEnd(this.#world.shape, piece + count - 1) - pieceStart(piece);
  }

  #latencyMs(asker: Machine): number {
    return this.#world.latencyMs(this.#member.id, asker.id);
  }

  #refuse(upload: Upload, failure: Failure): void {
    upload.end();
    upload.asker.failedLater(upload.request, failure, this.#latencyMs(upload.asker));
  }

  #begin(upload: Upload, slot: Slot): void {
    if (upload.ended) {
      slot.end();
      return;
    }
    upload.slot = slot;
    const { asker, request } = upload;
    upload.among = this.#uploads.add(upload);
    const member = this.#member;
    const offer = {
      load: this.load(),
      claims: request.count > wireBounds.headerPieces ? undefined : this.#claims(request),
      have:
        member.whole || this.#world.shape.pieces > wireBounds.headerHavePieces
          ? undefined
          : this.#snapshot(),
      sown: this.#sown,
    };
    const latencyMs = this.#latencyMs(asker);
    const intake = new Intake(this.#world, upload, member);
    const stream = new Stream(member.host, asker.host, latencyMs, intake);
    upload.stream = stream;
    this.#world.clock.after(latencyMs, () => {
      if (!upload.ended && asker.transfer?.offered(request, offer) === "stop") upload.end();
    });
    if (member.plan.trouble !== "stalls") this.#send(upload, intake, slot);
  }

  #send(upload: Upload, intake: Intake, slot: Slot): void {
    let left = this.#bytesOf(upload.request);
    const next = (): void => {
      if (upload.ended || left <= 0) return;
      const bytes = this.#paced ? Math.min(left, slot.sliceBytes) : left;
      left -= bytes;
      slot.pace(bytes, () => upload.stream?.put(bytes));
    };
    intake.drained = next;
    next();
  }

  #claims({ piece, count }: PieceRequest): readonly string[] {
    return this.#world.listOf(this.#member).hashes.slice(piece, piece + count);
  }

  #tellState(
    asker: Machine,
    { names, last }: { readonly names: boolean; readonly last: boolean },
  ): void {
    const { shape } = this.#world;
    const transfer = this.#member.whole ? undefined : this.#member.transfer;
    const map = (pieces: Iterable<number>): PieceMap | undefined => {
      let those: PieceMap | undefined;
      for (const piece of pieces) {
        those ??= new PieceMap(shape.pieces);
        those.add(piece);
      }
      return those;
    };
    // Without a mirror nobody gets anything there.
    const some = transfer !== undefined && this.#world.mirror !== undefined;
    const state = {
      sizeBytes: shape.sizeBytes,
      have: this.#snapshot(),
      fetching: some ? map(transfer.fetching) : undefined,
      hearsay: some ? map(transfer.hearsay) : undefined,
      ticket: transfer?.ticket,
      sown: this.#sown,
      peers: names ? this.#sample(asker) : nobody,
    };
    const load = this.load();
    this.#world.clock.after(this.#latencyMs(asker), () =>
      asker.toldState(this.#member, { state, load, last }),
    );
  }

  /** What is here now: one copy for all that ask before it is more. Nobody writes into it. */
  #snapshot(): PieceMap {
    const { have } = this.#member;
    if (this.#copied !== have || this.#copy?.count !== have.count) {
      this.#copied = have;
      this.#copy = have.copy();
    }
    return this.#copy;
  }

  #sample(asker: Machine): readonly Endpoint[] {
    const { members, policy, clock, random } = this.#world;
    const most = wireBounds.swarmPeers;
    // Who knows all, or as many as it will, does not look at them.
    const enough = Math.min(policy.knownPeers, members.length - 1);
    if ((asker.transfer?.knownCount ?? 0) >= enough) return nobody;
    const sinceMs = clock.monotonicMs() - limits.askerMs;
    const { whole, transfer } = this.#member;
    const known = new Set<Endpoint>(whole ? [] : transfer?.knownPeers(most));
    for (const [each, atMs] of this.#askers) if (atMs >= sinceMs) known.add(each.endpoint);
    known.delete(asker.endpoint);
    return sampleOf([...known], most, random);
  }
}

const nobody: readonly Endpoint[] = [];
/** Who has asked so lately is not noted again: there are many questions. */
const notedMs = 500;

/** The asker's end of an answer. */
class Intake {
  drained: () => void = () => undefined;
  readonly #world: Setting;
  readonly #upload: Upload;
  readonly #from: Machine;
  #piece: number;
  #got = 0;

  constructor(world: Setting, upload: Upload, from: Machine) {
    this.#world = world;
    this.#upload = upload;
    this.#from = from;
    this.#piece = upload.request.piece;
  }

  arrived(bytes: number): void {
    const { asker, request } = this.#upload;
    const { shape } = this.#world;
    asker.transfer?.progress(request, bytes);
    this.#got += bytes;
    const end = request.piece + request.count;
    while (this.#piece < end && this.#got >= pieceLength(shape, this.#piece)) {
      this.#got -= pieceLength(shape, this.#piece);
      this.#upload.donePieces++;
      const piece = this.#piece++;
      if (this.#from.plan.seed === true) this.#world.sow(piece);
      asker.gotPiece(request, piece, this.#from.contentOf(piece));
      if (this.#upload.ended) return;
    }
    if (this.#piece === end) asker.gotAll(request);
  }
}
