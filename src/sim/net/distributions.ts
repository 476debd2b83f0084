/**
 * Random variables of the simulated networks. Each takes one value from a seeded generator; the
 * quantile tables below turn one uniform number into a value by a look-up, for what is drawn for
 * every datagram or recomputed for every pair of hosts.
 */
import type { Random } from "../../base/ports.ts";
import { hour, minute } from "../../base/units.ts";

/** Standard normal (Box and Muller 1958; the second of its two values is not used). */
export function normal(random: Random): number {
  // 1 - u is never 0, so the logarithm is finite.
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return radius * Math.cos(2 * Math.PI * random.next());
}

/** Positive, with this median; `sigma` is the standard deviation of its logarithm. */
export function lognormal(random: Random, median: number, sigma: number): number {
  return median * Math.exp(sigma * normal(random));
}

/** Positive; the inverse of its distribution function. */
export function weibull(random: Random, shape: number, scale: number): number {
  return scale * (-Math.log(1 - random.next())) ** (1 / shape);
}

/** Positive, mean `shape` × `scale`; `shape` at least 1 (Marsaglia and Tsang 2000). */
export function gamma(random: Random, shape: number, scale: number): number {
  if (!(shape >= 1)) throw new RangeError(`the shape must be at least 1, not ${shape}`);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    if (Math.log(1 - random.next()) < (x * x) / 2 + d - d * v + d * Math.log(v)) {
      return scale * d * v;
    }
  }
}

/** How long a machine stays, in milliseconds: users of 2008, read from that paper's figure. */
export function session2008Ms(random: Random): number {
  return lognormal(random, 4.12 * hour, 1.64);
}

/** How long one stays in a harsh network: Debian's torrents of 2005. */
export function sessionHarshMs(random: Random): number {
  return weibull(random, 0.38, 42.4 * minute);
}

/** Cells of a quantile table: half of those of the round trips here are narrower than 0.1 ms. */
const cells = 4096;
/** Steps of the integration that fills a table. */
const steps = 65_536;

/** The inverse of a distribution function, by linear interpolation in a table of 4,096 cells. */
export class QuantileTable {
  readonly #values: Float64Array;

  /** `quantile`: share in (0, 1) → value; asked in ascending order. */
  constructor(quantile: (share: number) => number) {
    this.#values = Float64Array.from({ length: cells + 1 }, (_, index) => {
      // The ends of a distribution may be infinite: the outermost quarter of a cell is left out.
      const share = Math.min(Math.max(index, 1 / 4), cells - 1 / 4) / cells;
      return quantile(share);
    });
  }

  /** Of the distribution with this density (not normalised) between `low` and `high`. */
  static ofDensity(density: (x: number) => number, low: number, high: number): QuantileTable {
    const width = (high - low) / steps;
    const mass = (step: number): number => density(low + (step + 0.5) * width);
    let total = 0;
    for (let step = 0; step < steps; step++) total += mass(step);
    let step = 0;
    let below = 0;
    let current = mass(0);
    return new QuantileTable((share) => {
      const wanted = share * total;
      while (below + current < wanted && step < steps - 1) {
        below += current;
        current = mass(++step);
      }
      return low + (step + Math.min(1, (wanted - below) / current)) * width;
    });
  }

  /** Straight lines through measured points; percents ascend strictly from 0 to 100. */
  static through(percents: readonly number[], values: readonly number[]): QuantileTable {
    return new QuantileTable((share) => {
      const upper = percents.findIndex((percent) => percent >= 100 * share);
      const low = percents[upper - 1] ?? 0;
      const high = percents[upper] ?? 100;
      const lowValue = values[upper - 1] ?? 0;
      const highValue = values[upper] ?? lowValue;
      return lowValue + ((100 * share - low) / (high - low)) * (highValue - lowValue);
    });
  }

  /** The value below which this share of all lies; `share` in [0, 1). */
  at(share: number): number {
    const position = share * cells;
    const cell = Math.floor(position);
    const low = this.#values[cell] ?? 0;
    const high = this.#values[cell + 1] ?? low;
    return low + (position - cell) * (high - low);
  }
}

/** Eight standard deviations hold all but 10^-15. */
const normalDensity = (x: number): number => Math.exp(-(x * x) / 2);

let normals: QuantileTable | undefined;
let halfNormals: QuantileTable | undefined;

/** Quantiles of the standard normal. */
export function normalTable(): QuantileTable {
  return (normals ??= QuantileTable.ofDensity(normalDensity, -8, 8));
}

/** Quantiles of |N(0, 1)|. */
export function halfNormalTable(): QuantileTable {
  return (halfNormals ??= QuantileTable.ofDensity(normalDensity, 0, 8));
}

/** Quantiles of the gamma distribution; `shape` at least 1. */
export function gammaTable(shape: number, scale: number): QuantileTable {
  const density = (x: number): number => x ** (shape - 1) * Math.exp(-x);
  const unit = QuantileTable.ofDensity(density, 0, shape + 40);
  return new QuantileTable((share) => scale * unit.at(share));
}
