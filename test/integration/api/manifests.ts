// Manifests as a person writes them, around the one field that a test is about.

import { apiVersion } from "../../../src/api/kinds.ts";

/** A manifest of any of our kinds. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** A BuildRun that is valid unless `spec` makes it otherwise; `undefined` removes a field. */
export function run(spec: Record<string, unknown> = {}, name = "run"): Manifest {
  const context = { git: { url: "https://git.example.com/shop/web.git" } };
  return {
    apiVersion,
    kind: "BuildRun",
    metadata: { name, namespace: "default" },
    spec: { context, ...spec },
  };
}

/** A Builder of this spec. */
export function builder(spec: Record<string, unknown>, name = "builder"): Manifest {
  return { apiVersion, kind: "Builder", metadata: { name, namespace: "default" }, spec };
}

/** A Builder with driver kubernetes. */
export function pods(kubernetes: Record<string, unknown> = {}): Manifest {
  return builder({ kubernetes });
}

/** A Builder with driver remote. */
export function remote(block: Record<string, unknown>): Manifest {
  return builder({ remote: block });
}

/** A ClusterBuilder of this spec. */
export function clusterBuilder(spec: Record<string, unknown>, name = "cluster-builder"): Manifest {
  return { apiVersion, kind: "ClusterBuilder", metadata: { name }, spec };
}

/** What is wrong, the manifest, the field the answer names, and the words that say what to do. */
export type Refusal = readonly [what: string, manifest: Manifest, field: string, advice: RegExp];
