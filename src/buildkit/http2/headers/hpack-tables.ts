// The two tables of HPACK (RFC 7541, appendices A and B) in short forms. Pure data.

/** The static table; index 0 here is HPACK's index 1. */
export const staticTable: readonly (readonly [name: string, value: string])[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ...[
    "accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control",
    "content-disposition content-encoding content-language content-length content-location content-range",
    "content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range",
    "if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range",
    "referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary",
    "via www-authenticate",
  ]
    .join(" ")
    .split(" ")
    .map((name) => [name, ""] as const),
];

/**
 * Bits of the Huffman code of each byte, then of the end-of-string symbol: one letter each, "a" is 1 bit, "A" is 27.
 * The code is canonical: shorter codes first, equal ones in the order of their symbols.
 */
export const huffmanLengths = [
  "mwBBBBBBBxDBBDBBBBBBBBDBBBBBBBBB",
  "fjjlmfhkjjhkhfffeeefffffffghoflj",
  "mfgggggggggggggggggggggghghmsmnf",
  "oefefefffeggfffefgfeefgggggoknmB",
  "tvttvvvwvwwwwwxwxxvwxwwwwuvwvwwx",
  "vutvvwwuwvvxuvwwuuvuwvwwtvvvwvvw",
  "zztsvwvyzzzAAzxysuzAAzAxuuzzBAAA",
  "txtuvuuwvvyyxxzwzAzzAAAAABAAAAAz",
  "D",
].join("");

/** The length in bits that a letter of `huffmanLengths` stands for. */
export function lengthOf(letter: number): number {
  return letter >= 97 ? letter - 96 : letter - 38;
}
