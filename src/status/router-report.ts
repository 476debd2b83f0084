/** What became of asking the router for ports; JSON-able. */

export interface RouterMapping {
  readonly protocol: "TCP" | "UDP";
  /** Ours. */
  readonly port: number;
  /** The router's: what others have to reach. */
  readonly externalPort: number;
}

export type RouterReport =
  /** Nobody wants it (router.map_port), or this daemon has no port for others. */
  | { readonly state: "off" }
  | { readonly state: "asking" }
  | {
      readonly state: "mapped";
      readonly by: "NAT-PMP" | "UPnP";
      readonly mappings: readonly RouterMapping[];
      /** The router's own; undefined: it does not say. */
      readonly externalAddress: string | undefined;
      /** Milliseconds since 1970; it is renewed long before. */
      readonly untilMs: number;
      /** Why others will not come in all the same; undefined: they should. */
      readonly problem: string | undefined;
    }
  | {
      readonly state: "failed";
      readonly reason: string;
      /** Milliseconds since 1970 of the next try. */
      readonly againAtMs: number;
    };
