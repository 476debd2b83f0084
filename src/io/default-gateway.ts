/** The IPv4 router of the default route, as the kernel has it (proc(5), /proc/net/route). */
import { readFileSync } from "node:fs";

/** An address literal; undefined: there is no such route. Of several the one of least metric. */
export function defaultGateway(
  read: () => string = () => readFileSync("/proc/net/route", "utf8"),
): string | undefined {
  let text: string;
  try {
    text = read();
  } catch {
    return undefined;
  }
  const routes = text.split("\n").flatMap((line) => {
    const [, destination, gateway = "", flags = "", , , metric, mask] = line.split(/\s+/);
    const leads = destination === "00000000" && mask === "00000000";
    return leads && usable(flags) && /^[0-9A-F]{8}$/.test(gateway)
      ? [{ address: addressOf(gateway), metric: Number(metric) }]
      : [];
  });
  return routes.sort((a, b) => a.metric - b.metric)[0]?.address;
}

/** RTF_UP and RTF_GATEWAY. */
function usable(flags: string): boolean {
  return (Number.parseInt(flags, 16) & 3) === 3;
}

/** The kernel prints the number as the machine has it in memory: the last byte comes first. */
function addressOf(hex: string): string {
  const bytes = hex.match(/../g) ?? [];
  return bytes
    .reverse()
    .map((byte) => Number.parseInt(byte, 16))
    .join(".");
}
