// Bakes for unit tests: defaults are valid, what is given wins.

import { parseBake } from "../../../src/api/parse.ts";
import type { Bake, BakeSpecInput, BakeStatus } from "../../../src/api/v1alpha1/index.ts";

export const uid = "6f0c0a52-5b7e-4e55-9d9f-0c1b3b7a1c11";
export const created = new Date("2026-03-01T12:00:00Z");

/** What a test says about a Bake. */
export interface BakeParts {
  readonly spec?: Partial<BakeSpecInput>;
  readonly metadata?: Record<string, unknown>;
  readonly status?: BakeStatus;
}

/** A Bake of one target, as the API server returns it. */
export function aBake({ spec, metadata, status }: BakeParts = {}): Bake {
  const target = { "dockerfile-inline": "FROM scratch\n" };
  return parseBake({
    apiVersion: "kiln.build/v1alpha1",
    kind: "Bake",
    metadata: {
      ...{ name: "shop", namespace: "shop", uid, generation: 1, resourceVersion: "7" },
      creationTimestamp: created.toISOString(),
      ...metadata,
    },
    spec: { file: { inline: { target: { default: target } } }, ...spec },
    ...(status && { status }),
  });
}
