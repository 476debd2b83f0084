/**
 * Asks a server of this very process whether it still answers, through the kernel as any client
 * would.
 */
import net from "node:net";
import { AptP2pError } from "../base/errors.ts";

export type SelfProbe =
  /** A byte of an answer has come. */
  | "answered"
  /** The connection was taken and closed at once: that is what a server with too many of them does. */
  | "full"
  /** The machine does not have this address any more: this says nothing about the server. */
  | "unreachable";

const gone: ReadonlySet<string> = new Set([
  ...["EADDRNOTAVAIL", "ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EAFNOSUPPORT", "EACCES"],
  // None of ours is to spare for the question; those who have one are served.
  ...["EMFILE", "ENFILE", "ENOBUFS"],
]);

/**
 * `address`: where it is bound; the unspecified address is asked at loopback. Rejects with UPSTREAM
 * when nobody listens there, with CLOSED when `signal` aborts before there was an answer.
 */
export function probeSelf(
  { address, port }: { readonly address: string; readonly port: number },
  path: string,
  signal: AbortSignal,
): Promise<SelfProbe> {
  const host = loopbackOf(address);
  return new Promise((resolve, reject) => {
    // From the address itself: if the machine has lost it, nothing leaves for who has it now.
    const socket = net.connect({ host, port, localAddress: host });
    const over = (): void => {
      signal.removeEventListener("abort", late);
      socket.destroy();
    };
    const late = (): void => {
      over();
      reject(new AptP2pError("CLOSED", `no answer at ${host}, port ${port}`));
    };
    const settle = (outcome: SelfProbe): void => {
      over();
      resolve(outcome);
    };
    signal.addEventListener("abort", late);
    let connected = false;
    socket.once("connect", () => {
      connected = true;
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    });
    socket.once("data", () => settle("answered"));
    socket.once("close", () => settle("full"));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (connected) settle("full");
      else if (gone.has(error.code ?? "")) settle("unreachable");
      else {
        over();
        reject(
          new AptP2pError("UPSTREAM", `nobody listens at ${host}, port ${port}`, { cause: error }),
        );
      }
    });
    if (signal.aborted) late();
  });
}

function loopbackOf(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  return address === "::" ? "::1" : address;
}
