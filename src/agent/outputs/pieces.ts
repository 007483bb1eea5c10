// A stream cut into pieces of one size, hashed on the way: no more than a piece is ever kept.
import { createHash } from "node:crypto";
import type { FileSink } from "../../buildkit/index.ts";

/** Bytes of a piece. S3 wants at least 5 MiB of all but the last, and takes 10,000. */
export const pieceBytes = 8 * 1024 * 1024;

/** What came through. */
export interface Passed {
  /** `sha256:<hex>` of all bytes. */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** Where pieces go, one after another. */
export interface PieceTarget {
  /** A whole piece; more will follow, or nothing. */
  write(piece: Buffer): Promise<void>;
  /** All came; `rest` was not written yet, and is shorter than a piece. */
  finish(rest: Buffer, passed: Passed): Promise<void>;
  abort(): Promise<void>;
}

/**
 * A sink that hands pieces on; what it is given has to stay until its promise resolves. `onFailure` is told why it broke:
 * the daemon is only told that it did. `size`: how many bytes will come, when that is known.
 */
export function piecewise(
  target: PieceTarget,
  onFailure: (error: unknown) => void,
  size = pieceBytes,
): FileSink {
  const hash = createHash("sha256");
  let piece: Buffer | undefined;
  let used = 0;
  let passed = 0;
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      onFailure(error);
      throw error;
    }
  };
  const take = async (data: Uint8Array): Promise<void> => {
    hash.update(data);
    passed += data.byteLength;
    for (let from = 0; from < data.byteLength; ) {
      // One buffer for all pieces: a target is done with it when its promise resolves.
      piece ??= Buffer.allocUnsafeSlow(Math.min(size, pieceBytes));
      const part = data.subarray(from, from + piece.length - used);
      if (part.byteLength === 0) throw new RangeError("more bytes came than were announced");
      piece.set(part, used);
      used += part.byteLength;
      from += part.byteLength;
      if (used < pieceBytes) continue;
      used = 0;
      await target.write(piece);
    }
  };
  return {
    write: (pieces) =>
      guarded(async () => {
        for (const data of pieces) await take(data);
      }),
    finish: () =>
      guarded(async () => {
        const rest = piece === undefined ? Buffer.alloc(0) : piece.subarray(0, used);
        await target.finish(rest, { digest: `sha256:${hash.digest("hex")}`, size: passed });
        piece = undefined;
      }),
    abort: async () => {
      piece = undefined;
      await target.abort();
    },
  };
}
