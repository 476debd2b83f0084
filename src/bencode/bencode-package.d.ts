/** What this program uses of the package `bencode`, which has no types of its own. */
declare module "bencode" {
  const bencode: {
    /** Strings come out as Uint8Array, lists as arrays, dictionaries as plain objects. */
    readonly decode: (data: Uint8Array) => unknown;
    /** Takes numbers, Uint8Array, arrays and maps; drops what it does not know. */
    readonly encode: (value: unknown) => Uint8Array;
  };
  export default bencode;
}
