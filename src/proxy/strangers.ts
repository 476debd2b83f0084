/**
 * Connections of machines that are no clients, so that they can never take those that apt needs: a
 * part of all, and a few of each machine. When there are too many, one on which nothing is asked at
 * the moment makes room, the one that has been so for longest.
 */
import type { Socket } from "node:net";
import { familyOf, subnetOf } from "../base/endpoint.ts";
import { limits } from "../base/limits.ts";

export class Strangers {
  readonly #most: number;
  readonly #open = new Set<Socket>();
  /** Of `#open`: nothing is being answered on them. The longest so first. */
  readonly #idle = new Set<Socket>();
  readonly #parties = new Map<string, number>();

  constructor(maxConnections: number) {
    this.#most = Math.max(1, Math.floor(maxConnections * limits.strangersShare));
  }

  get count(): number {
    return this.#open.size;
  }

  /** False: one too many; the connection is to be closed. */
  admit(socket: Socket): boolean {
    const parties = this.#partiesOf(socket.remoteAddress ?? "");
    const full = parties.some(({ name, most }) => (this.#parties.get(name) ?? 0) >= most);
    if (full || (this.#open.size >= this.#most && !this.#makeRoom())) return false;
    this.#open.add(socket);
    this.#idle.add(socket);
    for (const { name } of parties) this.#parties.set(name, (this.#parties.get(name) ?? 0) + 1);
    socket.once("close", () => {
      this.#forget(socket);
      for (const { name } of parties) {
        const left = (this.#parties.get(name) ?? 1) - 1;
        if (left === 0) this.#parties.delete(name);
        else this.#parties.set(name, left);
      }
    });
    return true;
  }

  /** Something is asked on it, or nothing any more. Clients' connections do not matter. */
  busy(socket: Socket, busy: boolean): void {
    if (!this.#open.has(socket)) return;
    if (busy) this.#idle.delete(socket);
    else this.#idle.add(socket);
  }

  #makeRoom(): boolean {
    for (const socket of this.#idle) {
      this.#forget(socket);
      socket.destroy();
      return true;
    }
    return false;
  }

  #forget(socket: Socket): void {
    this.#open.delete(socket);
    this.#idle.delete(socket);
  }

  /** A machine, and where one may have any number of addresses, its network. */
  #partiesOf(address: string): { readonly name: string; readonly most: number }[] {
    const machine = { name: address, most: limits.connectionsPerStranger };
    if (address === "" || familyOf(address) === 4) return [machine];
    const most = Math.max(1, Math.floor(this.#most / 2));
    return [machine, { name: `${subnetOf(address.replace(/%.*$/, ""))}/64`, most }];
  }
}
