// Decodes HPACK's Huffman strings (RFC 7541, 5.2). Pure.
import { huffmanLengths, lengthOf } from "./hpack-tables.ts";
import { errorCode, Http2Error } from "../protocol.ts";

const endOfString = 256;
const longestCode = 30;

/** For each length of codes: the first code, and where the symbols of this length begin. */
interface Code {
  readonly first: Uint32Array;
  readonly offset: Uint16Array;
  readonly symbols: Uint16Array;
}

function canonicalCode(): Code {
  const lengths = Array.from(huffmanLengths, (letter) => lengthOf(letter.charCodeAt(0)));
  const first = new Uint32Array(longestCode + 2);
  const offset = new Uint16Array(longestCode + 2);
  const symbols: number[] = [];
  for (let length = 1, code = 0; length <= longestCode + 1; length++) {
    first[length] = code;
    offset[length] = symbols.length;
    lengths.forEach((each, symbol) => {
      if (each === length) symbols.push(symbol);
    });
    code = (code + symbols.length - (offset[length] ?? 0)) * 2;
  }
  return { first, offset, symbols: Uint16Array.from(symbols) };
}

const code = canonicalCode();

/**
 * The text, one character a byte. Throws Http2Error COMPRESSION_ERROR for an end-of-string symbol, and for
 * padding that is too long or not all ones.
 */
export function decodeHuffman(bytes: Uint8Array): string {
  // The shortest code has five bits.
  const text = Buffer.allocUnsafe(Math.ceil((bytes.length * 8) / 5));
  let at = 0;
  let value = 0;
  let bits = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      value = value * 2 + ((byte >> bit) & 1);
      bits++;
      const symbol = symbolOf(value, bits);
      if (symbol === undefined) continue;
      if (symbol === endOfString) throw malformed();
      text[at++] = symbol;
      value = 0;
      bits = 0;
    }
  }
  if (bits > 7 || value !== 2 ** bits - 1) throw malformed();
  return text.toString("latin1", 0, at);
}

function symbolOf(value: number, bits: number): number | undefined {
  const place = value - (code.first[bits] ?? 0);
  const start = code.offset[bits] ?? 0;
  const end = code.offset[bits + 1] ?? 0;
  return place >= 0 && place < end - start ? code.symbols[start + place] : undefined;
}

function malformed(): Http2Error {
  return new Http2Error(errorCode.compressionError, "a Huffman string is malformed");
}
