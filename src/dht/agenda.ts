/**
 * Contacts by the time at which somebody is to look at them again, in slots of equal length: a table
 * of 300 contacts has a handful of them to look at each time, not all.
 *
 * Each contact stands in one slot. What stands in a slot that is no longer its own is passed over, so
 * there are at most as many leftovers as plans were moved forward within the longest plan.
 */
import type { Contact } from "./types.ts";

export class Agenda {
  readonly #slotMs: number;
  readonly #slots = new Map<number, Contact[]>();
  readonly #slotOf = new Map<Contact, number>();
  /** The first slot that has not been taken out. */
  #next = -Infinity;

  constructor(slotMs: number) {
    this.#slotMs = slotMs;
  }

  /** Contacts that are planned. */
  get size(): number {
    return this.#slotOf.size;
  }

  /** It is taken out at this time; an earlier plan for it stands. */
  plan(contact: Contact, atMs: number): void {
    const slot = Math.max(this.#next, Math.floor(atMs / this.#slotMs));
    const planned = this.#slotOf.get(contact);
    if (planned !== undefined && planned <= slot) return;
    this.#slotOf.set(contact, slot);
    const there = this.#slots.get(slot);
    if (there === undefined) this.#slots.set(slot, [contact]);
    else there.push(contact);
  }

  forget(contact: Contact): void {
    this.#slotOf.delete(contact);
  }

  /** All whose slot has begun, each once; they are planned no more. */
  take(nowMs: number): Contact[] {
    const now = Math.floor(nowMs / this.#slotMs);
    const begun = [...this.#slots.keys()].filter((slot) => slot <= now).sort((a, b) => a - b);
    this.#next = now + 1;
    const taken: Contact[] = [];
    for (const slot of begun) {
      for (const contact of this.#slots.get(slot) ?? []) {
        if (this.#slotOf.get(contact) !== slot) continue;
        this.#slotOf.delete(contact);
        taken.push(contact);
      }
      this.#slots.delete(slot);
    }
    return taken;
  }
}
