/** One round of questions to the router, and what comes of it; see port-mapping.ts. */

export interface MappingWish {
  readonly protocol: "TCP" | "UDP";
  readonly port: number;
}

/** How a mapping was made, and where to have it removed. */
export type MappedBy =
  | { readonly by: "NAT-PMP"; readonly gateway: string }
  /** `location`: of the router's description (UPnP Device Architecture 1.1, section 2). */
  | { readonly by: "UPnP"; readonly location: string };

export type RouterRound =
  | {
      readonly kind: "map";
      readonly wishes: readonly MappingWish[];
      readonly lifetimeSeconds: number;
      /** Of the default route; undefined: there is none, so NAT-PMP asks nobody. */
      readonly gateway: string | undefined;
      readonly description: string;
    }
  | { readonly kind: "unmap"; readonly wishes: readonly MappingWish[]; readonly how: MappedBy };

export interface Mapping extends MappingWish {
  /** What the router gave: it may be another one than ours. */
  readonly externalPort: number;
}

export interface Mapped {
  readonly how: MappedBy;
  readonly mappings: readonly Mapping[];
  /** undefined: the router does not say, or nothing was mapped. */
  readonly externalAddress: string | undefined;
}
