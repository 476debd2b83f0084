/**
 * The DialBack port on TCP: a connection that says nothing and is dropped at once. Only whether the
 * handshake came about counts; nothing is read, so nothing that the other side sends has an effect.
 */
import net from "node:net";
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import type { DialBack } from "../dht/ports.ts";

export interface DialBackParts {
  readonly counters: Counters;
  /** Longest wait for the handshake, in milliseconds. */
  readonly timeoutMs?: number;
  /** Default: the system's. */
  readonly connect?: (to: { readonly host: string; readonly port: number }) => net.Socket;
}

/**
 * How many run at once is the caller's to limit (`dhtLimits.dialBacksAtOnce`): it knows for whom they
 * are. Pending ones do not keep the process alive.
 */
export function tcpDialBack({
  counters,
  timeoutMs = dhtLimits.dialBackMs,
  connect = (to) => net.connect(to),
}: DialBackParts): DialBack {
  return {
    dial: ({ address, port }, done) => {
      const socket = connect({ host: address, port });
      let open = true;
      const end = (reached: boolean): void => {
        if (!open) return;
        open = false;
        clearTimeout(timer);
        socket.destroy();
        counters.add(reached ? "io.dialBack.reached" : "io.dialBack.failed");
        done(reached);
      };
      const timer = setTimeout(() => end(false), timeoutMs);
      timer.unref();
      socket.unref();
      socket.once("connect", () => end(true));
      // Stays: a socket that is destroyed may still report what had gone wrong before.
      socket.on("error", () => end(false));
    },
  };
}
