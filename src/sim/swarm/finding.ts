/** How the members of a simulated swarm find each other: as neighbours, or by a modelled DHT. */
import type { DhtModel, SwarmPlan } from "./plan.ts";
import type { FindEvents, Machine, Setting } from "./setting.ts";

/** Neighbours that are asked about one file; see engine/neighbours.ts. */
const askedNeighbours = 48;
/** Values in the answers of one look-up. */
const foundPeers = 50;

export class Finding {
  readonly #world: Setting;
  readonly #model: SwarmPlan["finding"];
  readonly #direct: boolean;
  /** Known to the DHT. */
  readonly #published: Machine[] = [];

  constructor(world: Setting, { finding, direct }: SwarmPlan) {
    this.#world = world;
    this.#model = finding;
    this.#direct = direct === true;
  }

  find(asker: Machine, events: FindEvents): void {
    const { clock } = this.#world;
    if (this.#direct) clock.after(0, events.done);
    else if (this.#model === "lan") this.#findNear(asker, events);
    else this.#lookUp(asker, this.#model, events);
  }

  /** A download has begun, or what is whole is here: others can find it a little later. */
  began(member: Machine): void {
    if (this.#model === "lan") return;
    const delayMs = member.plan.seed === true ? 0 : this.#model.publishMs;
    if (delayMs === 0) this.#published.push(member);
    else {
      this.#world.clock.after(delayMs, () => {
        if (member.gone === undefined) this.#published.push(member);
      });
    }
  }

  #lookUp(asker: Machine, model: DhtModel, events: FindEvents): void {
    const { clock, random } = this.#world;
    const draw = random.next();
    const firstMs = at(model.firstMs, draw);
    clock.after(firstMs, () => {
      // Nobody withdraws what it has published: values of those that have left are still there.
      const some = this.#some(this.#published, foundPeers, asker);
      events.peers(some.map((each) => each.info(each.whole ? "whole" : "unknown", "dht")));
    });
    clock.after(Math.max(firstMs, at(model.doneMs, draw)), events.done);
  }

  #findNear(asker: Machine, events: FindEvents): void {
    const { clock } = this.#world;
    // Machines that are not there, or have nothing to do with the file yet, are no neighbours here.
    const there = this.#world.members.filter(
      ({ plan, figures, gone }) =>
        gone === undefined && (plan.seed === true || figures.startedMs !== undefined),
    );
    for (const each of this.#some(there, askedNeighbours, asker)) {
      const roundTripMs = 2 * this.#world.latencyMs(asker.id, each.id);
      clock.after(roundTripMs, () => {
        if (each.gone !== undefined || each.plan.trouble === "deaf") return;
        if (each.whole) events.peers([each.info("whole", "neighbour")]);
        else if (each.figures.startedMs !== undefined) {
          events.peers([each.info("unknown", "neighbour")]);
        }
      });
    }
    clock.after(neighbourMs, events.done);
  }

  #some(from: readonly Machine[], count: number, but: Machine): readonly Machine[] {
    const { random } = this.#world;
    if (from.length <= count + 1) return from.filter((each) => each !== but);
    const chosen = new Set<Machine>();
    while (chosen.size < count) {
      const drawn = from[Math.floor(random.next() * from.length)];
      if (drawn !== undefined && drawn !== but) chosen.add(drawn);
    }
    return [...chosen];
  }
}

/** All that are there have answered by then. */
const neighbourMs = 5;

function at(values: readonly number[], share: number): number {
  return values[Math.floor(share * values.length)] ?? 0;
}
