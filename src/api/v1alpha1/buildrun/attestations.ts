// What is said about an image beside it: how it was made (provenance) and what is in it (SBOM).

import { z } from "zod";
import { text } from "../../schema.ts";
import { ImageRef } from "../shared.ts";

const Provenance = z.object({
  mode: z
    .enum(["min", "max"])
    .default("min")
    .describe(
      "How much is said. min: sources and builder. max: besides build arguments, the Dockerfile and every step.",
    ),
  version: z.enum(["v1", "v0.2"]).optional().describe("Version of SLSA provenance. Default: v1."),
  reproducible: z
    .boolean()
    .optional()
    .describe("Whether it claims that the same inputs give the same image."),
  inlineOnly: z
    .boolean()
    .optional()
    .describe("Only where it can be kept in an image; file outputs get none."),
  filename: text(
    { max: 255 },
    {
      matches: /^[A-Za-z0-9._-]+$/,
      message: "must be a file name: letters, digits, '.', '_' and '-'",
    },
  )
    .optional()
    .describe("Name of the file in file outputs. Default: provenance.json."),
});

const Sbom = z.object({
  generator: ImageRef.optional().describe(
    "Image that scans the result. Default: BuildKit's, docker/buildkit-syft-scanner.",
  ),
  scanContext: z.boolean().default(false).describe("Scan the build context as well."),
  scanStages: z
    .boolean()
    .default(false)
    .describe("Scan every stage of the Dockerfile, not only the result."),
});

/** `spec.attestations`. */
export const Attestations = z.object({
  provenance: Provenance.optional().describe(
    "How it was made. Kiln sets the builder's id: a run can not choose it.",
  ),
  sbom: Sbom.optional().describe("What is in it."),
});

/** What is attested, after defaults. */
export type Attestations = z.output<typeof Attestations>;
