// Writes many small pieces with few calls: what comes in together is one writev, in the thread pool, so that a
// slow disk never holds up the event loop.
import { writev } from "node:fs";

function writevOnce(
  fd: number,
  pieces: readonly Uint8Array[],
  position: number | null,
): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(fd, pieces, position, (error, written) => {
      if (error === null) resolve(written);
      else reject(error);
    });
  });
}

/** Writes all pieces one behind the other from `position` on; null: where the file stands. */
export async function writeAll(
  fd: number,
  pieces: readonly Uint8Array[],
  position: number | null,
): Promise<void> {
  let rest = pieces;
  let at = position;
  for (;;) {
    const bytesWritten = await writevOnce(fd, rest, at);
    rest = without(rest, bytesWritten);
    if (rest.length === 0) return;
    if (bytesWritten === 0) throw new Error("nothing could be written");
    if (at !== null) at += bytesWritten;
  }
}

/** The pieces after the first `count` bytes. */
function without(pieces: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count;
  for (const [index, piece] of pieces.entries()) {
    if (left < piece.length) return [piece.subarray(left), ...pieces.slice(index + 1)];
    left -= piece.length;
  }
  return [];
}

/** Bytes of all pieces. */
export function bytesIn(pieces: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  return bytes;
}
