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

/** A sink that hands pieces on, and may keep what it is given until then. `onFailure` is told why it broke: the daemon is only told that it did. */
export function piecewise(target: PieceTarget, onFailure: (error: unknown) => void): FileSink {
  const hash = createHash("sha256");
  let kept: Uint8Array[] = [];
  let keptBytes = 0;
  let size = 0;
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      onFailure(error);
      throw error;
    }
  };
  const drain = async (): Promise<void> => {
    while (keptBytes >= pieceBytes) {
      const all = Buffer.concat(kept, keptBytes);
      const rest = all.subarray(pieceBytes);
      kept = rest.length === 0 ? [] : [rest];
      keptBytes = rest.length;
      await target.write(all.subarray(0, pieceBytes));
    }
  };
  return {
    write(pieces) {
      for (const piece of pieces) {
        hash.update(piece);
        kept.push(piece);
        keptBytes += piece.byteLength;
        size += piece.byteLength;
      }
      return keptBytes < pieceBytes ? undefined : guarded(drain);
    },
    finish: () =>
      guarded(async () => {
        const digest = `sha256:${hash.digest("hex")}`;
        await target.finish(Buffer.concat(kept, keptBytes), { digest, size });
      }),
    abort: async () => {
      kept = [];
      await target.abort();
    },
  };
}
