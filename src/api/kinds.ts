// Under which names the API server serves our kinds.

/** API group of all Kiln resources; also the prefix of Kiln's labels and annotations. */
export const group = "kiln.build";

/** The served and stored version. */
export const version = "v1alpha1";

/** `apiVersion` of every Kiln object. */
export const apiVersion = "kiln.build/v1alpha1";

/** What the API server has to know about a kind besides its schema. */
export interface Kind<K extends string = string> {
  readonly apiVersion: typeof apiVersion;
  readonly kind: K;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
}

/** Where BuildKit runs, for one namespace. */
export const builderKind = {
  apiVersion,
  kind: "Builder",
  plural: "builders",
  singular: "builder",
  shortNames: ["bldr"],
  namespaced: true,
} as const satisfies Kind;

/** Where BuildKit runs, for every namespace. */
export const clusterBuilderKind = {
  apiVersion,
  kind: "ClusterBuilder",
  plural: "clusterbuilders",
  singular: "clusterbuilder",
  shortNames: ["cbldr"],
  namespaced: false,
} as const satisfies Kind;

/** One build, run once. */
export const buildRunKind = {
  apiVersion,
  kind: "BuildRun",
  plural: "buildruns",
  singular: "buildrun",
  shortNames: ["brun"],
  namespaced: true,
} as const satisfies Kind;

/** Several builds of one Bake file. */
export const bakeKind = {
  apiVersion,
  kind: "Bake",
  plural: "bakes",
  singular: "bake",
  shortNames: [],
  namespaced: true,
} as const satisfies Kind;

/** All kinds, in the order in which their CRDs are applied. */
export const kinds: readonly Kind[] = [builderKind, clusterBuilderKind, buildRunKind, bakeKind];
