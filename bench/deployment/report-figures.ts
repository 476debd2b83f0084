/** Figures of a run, by file name: when hosts had what they wanted, from where, and who gave. Pure. */
import { cdfFigure } from "../../src/sim/figure.ts";
import { chartSvg } from "../../src/sim/svg.ts";
import type { Axis } from "../../src/sim/svg.ts";
import type { HostResult, RunResult } from "./run.ts";

export function figures(scenario: string, result: RunResult): Readonly<Record<string, string>> {
  const hosts = result.hosts.filter(({ readyMs }) => readyMs !== undefined);
  return {
    "completion.svg": completion(scenario, result),
    "sources.svg": sources(scenario, hosts),
    "uploads.svg": uploads(scenario, hosts),
  };
}

/** One curve for what was installed or fetched in each measured phase. */
function completion(scenario: string, { phases, actions }: RunResult): string {
  const curves = phases
    .filter(({ measured }) => measured)
    .flatMap(({ name }) =>
      (["install", "get"] as const).flatMap((kind) => {
        const values = actions.flatMap((each) =>
          each.phase === name && each.do === kind && each.ok ? [each.milliseconds / 1000] : [],
        );
        return values.length === 0 ? [] : [{ name: `${name}: ${kind}`, values }];
      }),
    );
  return cdfFigure({
    ...{ title: `${scenario}: completion`, label: "From its own start to its end (s)" },
    ...{ scale: "linear", curves },
  });
}

/** Bytes of each host by source, hosts in the order of their share from peers. */
function sources(scenario: string, hosts: readonly HostResult[]): string {
  const share = ({ bytes: { fromPeers, fromMirror } }: HostResult): number =>
    fromPeers / Math.max(1, fromPeers + fromMirror);
  const sorted = [...hosts].sort((a, b) => share(a) - share(b));
  const points = (of: (host: HostResult) => number): readonly (readonly [number, number])[] =>
    sorted.map((host, index) => [index + 1, of(host) / 1e6]);
  const curves = [
    { name: "from peers", points: points(({ bytes }) => bytes.fromPeers) },
    { name: "from the mirror", points: points(({ bytes }) => bytes.fromMirror) },
    { name: "from its cache", points: points(({ bytes }) => bytes.fromCache) },
  ];
  const most = Math.max(0, ...curves.flatMap((curve) => curve.points.map(([, y]) => y)));
  return chartSvg({
    ...{ title: `${scenario}: bytes by source`, legend: "top right", curves },
    x: axis("Hosts, by their share from peers", Math.max(2, hosts.length), 1),
    y: axis("MB", most > 0 ? most : 1, 0),
  });
}

function uploads(scenario: string, hosts: readonly HostResult[]): string {
  const values = hosts.map(({ bytes }) => bytes.uploaded / 1e6);
  return cdfFigure({
    ...{ title: `${scenario}: what hosts gave to others`, label: "Uploaded (MB)" },
    ...{ scale: "linear", curves: [{ name: "hosts", values }] },
  });
}

/** At most ten steps of 1, 2 or 5 times a power of ten. */
function axis(label: string, most: number, from: 0 | 1): Axis {
  const power = 10 ** Math.floor(Math.log10(most / 10));
  const found = [1, 2, 5, 10].find((each) => most <= 10 * each * power) ?? 10;
  const step = from === 1 ? Math.max(1, found * power) : found * power;
  const to = from === 1 ? most : Math.ceil(most / step) * step;
  const values = Array.from({ length: Math.floor(to / step) + 1 }, (_, index) => index * step);
  const ticks = values.filter((value) => value >= from);
  return {
    ...{ label, from, to, scale: "linear" },
    ticks: (from === 1 && step > 1 ? [1, ...ticks] : ticks).map(
      (value) => [value, String(Number(value.toPrecision(6)))] as const,
    ),
  };
}
