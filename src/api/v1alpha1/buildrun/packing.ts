// How layers are compressed: the same for images, archives and caches, but for what is compressed when nobody says.

import { z } from "zod";

/** `compression`, `compressionLevel` and `forceCompression`. The texts say what happens by default, and to what. */
export function compressionOf(texts: { readonly compression: string; readonly force: string }) {
  return {
    compression: z
      .enum(["uncompressed", "gzip", "estargz", "zstd"])
      .optional()
      .describe(texts.compression),
    compressionLevel: z
      .int()
      .min(0)
      .max(22)
      .optional()
      .describe("How hard it is compressed: 0 to 9 for gzip and estargz, 0 to 22 for zstd."),
    forceCompression: z.boolean().optional().describe(texts.force),
  };
}
