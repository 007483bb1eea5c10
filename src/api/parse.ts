// From what the API server or a file says to one of our kinds, with defaults filled; or a refusal
// that names the field. Unknown fields are dropped, as the API server prunes them.

import { z } from "zod";
import { apiVersion, bakeKind, builderKind, buildRunKind, clusterBuilderKind } from "./kinds.ts";
import {
  type Bake,
  BakeSpec,
  BakeStatus,
  type Builder,
  BuilderSpec,
  BuilderStatus,
  type BuildRun,
  BuildRunSpec,
  BuildRunStatus,
  type ClusterBuilder,
} from "./v1alpha1/index.ts";

/** An object that is not what its kind should be. */
export class InvalidResource extends Error {
  /** Field at fault, such as `spec.outputs[0].image.tags`; "" for the object itself. */
  readonly path: string;

  constructor(path: string, message: string) {
    super(path === "" ? message : `${path}: ${message}`);
    this.name = "InvalidResource";
    this.path = path;
  }
}

// Metadata is the API server's own: kept as it is, read as far as Kiln relies on it.
const Metadata = z.looseObject({
  name: z.string(),
  namespace: z.string().optional(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  generation: z.number().optional(),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  finalizers: z.array(z.string()).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});

function resource<K extends string, S extends z.ZodType, T extends z.ZodType>(
  kind: K,
  spec: S,
  status: T,
) {
  return z.object({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata: Metadata,
    spec,
    status: status.optional(),
  });
}

const builder = resource(builderKind.kind, BuilderSpec, BuilderStatus);
const clusterBuilder = resource(clusterBuilderKind.kind, BuilderSpec, BuilderStatus);
const buildRun = resource(buildRunKind.kind, BuildRunSpec, BuildRunStatus);
const bake = resource(bakeKind.kind, BakeSpec, BakeStatus);

/** Reads a Builder. Throws `InvalidResource`. */
export function parseBuilder(value: unknown): Builder {
  return read(builder, value) as Builder;
}

/** Reads a ClusterBuilder. Throws `InvalidResource`. */
export function parseClusterBuilder(value: unknown): ClusterBuilder {
  return read(clusterBuilder, value) as ClusterBuilder;
}

/** Reads a BuildRun. Throws `InvalidResource`. */
export function parseBuildRun(value: unknown): BuildRun {
  return read(buildRun, value) as BuildRun;
}

/** Reads a Bake. Throws `InvalidResource`. */
export function parseBake(value: unknown): Bake {
  return read(bake, value) as Bake;
}

function read(schema: z.ZodType, value: unknown): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new InvalidResource(pathOf(issue?.path ?? []), issue?.message ?? "is not valid");
}

/** A JSON path as Kubernetes writes it: `spec.outputs[0].image`. */
function pathOf(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) =>
      typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${String(part)}`,
    )
    .join("");
}
