/** `lookup` and `dht …`: what the daemon's node of the distributed hash table knows and finds. */
import { AptP2pError } from "../base/errors.ts";
import { minute } from "../base/units.ts";
import { show, work } from "./cache-commands.ts";
import { remoteError } from "./control.ts";
import { dhtStatusView, hopLine, lookupSummary, peerLine, walkView } from "./dht-view.ts";
import { exitCodes } from "./exit-codes.ts";
import { number, record, text } from "./facts.ts";
import { jsonText, patienceMs } from "./queries.ts";
import type { Query } from "./queries.ts";
import { visible } from "./text.ts";

/** A look-up ends after 20 s at most, and waits its turn before. */
const lookupPatienceMs = minute;

/** What came line by line, for `--json`. */
interface Collected {
  readonly peers: unknown[];
  readonly hops: unknown[];
  readonly notes: string[];
}

export async function showLookup({ control, operands, flags, world }: Query): Promise<number> {
  const [wanted, asJson] = [{ what: operands[0] ?? "" }, flags.has("json")];
  const parameters = flags.has("hops") ? { ...wanted, hops: "1" } : wanted;
  const target = `/lookup?${new URLSearchParams(parameters).toString()}`;
  const collected: Collected = { peers: [], hops: [], notes: [] };
  let result: unknown;
  for await (const line of control.lines({ method: "GET", target, patienceMs: lookupPatienceMs })) {
    const { error, result: last } = record(line);
    if (error !== undefined) throw remoteError(error);
    result ??= last;
    const shown = collect(collected, line);
    if (asJson || shown === undefined) continue;
    const output = shown.about === "note" ? world.err : world.out;
    output.write(`${visible(shown.text)}\n`);
  }
  if (result === undefined) {
    throw new AptP2pError("NO_DAEMON", "the daemon ended before the look-up did; run it again");
  }
  const { peers, hops, notes } = collected;
  const summary = record(result);
  if (asJson) {
    const steps = flags.has("hops") ? { hops } : {};
    world.out.write(jsonText({ ...summary, count: summary["peers"], peers, ...steps, notes }));
  } else world.out.write(`${visible(lookupSummary(summary))}\n`);
  return (number(summary["peers"]) ?? 0) > 0 ? exitCodes.ok.code : exitCodes.found.code;
}

export async function showDht({ control, flags, world }: Query): Promise<number> {
  const report = await control.ask({ method: "GET", target: "/dht/status", patienceMs });
  world.out.write(flags.has("json") ? jsonText(report) : dhtStatusView(report));
  return exitCodes.ok.code;
}

export async function dhtWalk(query: Query): Promise<number> {
  show(query, walkView, await work(query, "Walking", ["/dht/walk"]));
  return exitCodes.ok.code;
}

function collect(
  { peers, hops, notes }: Collected,
  line: unknown,
): { readonly about: "peer" | "hop" | "note"; readonly text: string } | undefined {
  const facts = record(line);
  if (facts["peer"] !== undefined) {
    peers.push(facts["peer"]);
    return { about: "peer", text: peerLine(facts["peer"]) };
  }
  if (facts["hop"] !== undefined) {
    hops.push(facts["hop"]);
    return { about: "hop", text: hopLine(facts["hop"]) };
  }
  const note = text(facts["note"]);
  if (note === undefined) return undefined;
  notes.push(note);
  return { about: "note", text: `apt-p2p: note: ${note}` };
}
