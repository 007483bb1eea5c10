// One header block of a tar archive, as Go's archive/tar writes it: ustar, with PAX records for what does not fit. Pure.

/** Bytes of a header, and what everything in an archive is filled up to. */
export const blockBytes = 512;

/** What a header says. */
export interface TarHeader {
  /** One character: "0" is a regular file, "5" a folder, "x" PAX records. */
  readonly type: string;
  /** As it stands there: it may lead anywhere. */
  readonly path: string;
  /** Bytes that follow. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  /** Of a link. */
  readonly target: string;
}

function textAt(block: Buffer, from: number, length: number): string {
  const field = block.subarray(from, from + length);
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end === -1 ? length : end);
}

function numberAt(block: Buffer, from: number, length: number): number {
  // The highest bit says that the number is binary (GNU's base-256).
  if (((block[from] ?? 0) & 0x80) === 0)
    return Number.parseInt(textAt(block, from, length).trim() || "0", 8);
  return block.subarray(from + 1, from + length).reduce((sum, byte) => sum * 256 + byte, 0);
}

/** Reads a block; what the PAX records before it say goes first. Throws RangeError for a damaged one. */
export function headerOf(
  block: Buffer,
  records: ReadonlyMap<string, string> = new Map(),
): TarHeader {
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  if (sum !== numberAt(block, 148, 8)) throw new RangeError("the archive has a damaged header");
  const prefix = textAt(block, 257, 5) === "ustar" ? textAt(block, 345, 155) : "";
  const name = textAt(block, 0, 100);
  const size = Number(records.get("size") ?? numberAt(block, 124, 12));
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError("the archive has an odd size");
  return {
    type: String.fromCharCode(block[156] ?? 0x30),
    path: records.get("path") ?? (prefix === "" ? name : `${prefix}/${name}`),
    size,
    mode: numberAt(block, 100, 8) & 0o777,
    target: records.get("linkpath") ?? textAt(block, 157, 100),
  };
}
