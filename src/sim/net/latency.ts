/**
 * Round trips between hosts, by their indices. Nothing is stored per pair: a pair's value comes from
 * a hash of the seed and both indices, so that 100,000 hosts cost no memory, and a host that comes
 * back has its old distances. All models are symmetric.
 */
import { gammaTable, normalTable, QuantileTable } from "./distributions.ts";

export interface Latency {
  /** Milliseconds there and back, without jitter; the same both ways and at all times. */
  roundTripMs(a: number, b: number): number;
}

/**
 * Uniform in (0, 1), from a seed's word and two numbers; spread by the finaliser of MurmurHash3.
 */
function hashedShare(word: number, a: number, b: number): number {
  const hash = mix((mix((word ^ a) + 0x9e3779b9) ^ b) + 0x9e3779b9);
  return ((hash >>> 0) + 0.5) / 2 ** 32;
}

/** 32 bits that depend on all bits of the seed. */
function wordOf(seed: number): number {
  return mix(Math.floor(seed / 2 ** 32) ^ mix(seed | 0));
}

function mix(word: number): number {
  let hash = word | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** All pairs are equally far from each other. */
export function fixed(ms: number): Latency {
  return { roundTripMs: () => ms };
}

/**
 * As between PlanetLab hosts, each pair on its own: Gamma(1.67, 88 ms), which of the simple
 * distributions fits their quantiles best. Its median is 119 ms where 135 were measured, and its p99
 * 521 ms instead of 413; `planetLabMeasured` keeps to the quantiles instead.
 */
export function planetLab(seed: number): Latency {
  return byPair(seed, gammaTable(1.67, 88));
}

/** Measured round trips of PlanetLab pairs: percent of all pairs (the ends guessed), milliseconds. */
const planetLabPercents = [0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100];
const planetLabMs = [1, 6, 19, 32, 59, 135, 202, 291, 325, 413, 600];

/** Each pair on its own, with the measured quantiles of PlanetLab and straight lines between. */
export function planetLabMeasured(seed: number): Latency {
  return byPair(seed, QuantileTable.through(planetLabPercents, planetLabMs));
}

function byPair(seed: number, table: QuantileTable): Latency {
  const word = wordOf(seed);
  return { roundTripMs: (a, b) => table.at(pairShare(word, a, b)) };
}

function pairShare(word: number, a: number, b: number): number {
  return a < b ? hashedShare(word, a, b) : hashedShare(word, b, a);
}

/** Shares of hosts in five regions, and the milliseconds between these. */
const regionShares = [0.36, 0.3, 0.06, 0.2, 0.08];
const regionMs = [
  [35, 95, 160, 210, 190],
  [95, 30, 240, 120, 260],
  [160, 240, 60, 300, 330],
  [210, 120, 300, 40, 180],
  [190, 260, 330, 180, 55],
];

/**
 * As between homes all over the world: the access lines of both, lognormal with median 14 ms and
 * sigma 0.9, and the way between their regions times 0.6 to 1.4.
 */
export function internet(seed: number): Latency {
  const word = wordOf(seed);
  const normals = normalTable();
  const accessMs = new QuantileTable((share) => 14 * Math.exp(0.9 * normals.at(share)));
  const access = (host: number): number => accessMs.at(hashedShare(word, host, accessDraw));
  return {
    roundTripMs: (a, b) => {
      const between = regionMs[regionOf(word, a)]?.[regionOf(word, b)] ?? 0;
      return access(a) + access(b) + between * (0.6 + 0.8 * pairShare(word, a, b));
    },
  };
}

/** In the place of the second host of a pair: what is drawn for a host alone. */
const accessDraw = -1;
const regionDraw = -2;

function regionOf(word: number, host: number): number {
  let rest = hashedShare(word, host, regionDraw);
  for (let region = 0; region < regionShares.length - 1; region++) {
    rest -= regionShares[region] ?? 0;
    if (rest < 0) return region;
  }
  return regionShares.length - 1;
}
