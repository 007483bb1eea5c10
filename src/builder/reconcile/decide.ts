// What has to be written or removed so that the cluster is as the Builder says? Pure: a snapshot in, a
// list of objects out. Repeating it changes nothing.

import type { KubeObject } from "../../kube/object.ts";
import { daemonConfig } from "../config/daemon.ts";
import type { Problem } from "../health/problem.ts";
import { disruptionBudget, networkPolicy, service } from "../kubernetes/access.ts";
import { contentHash } from "../kubernetes/hash.ts";
import type { BuildkitImages, RenderInput } from "../kubernetes/input.ts";
import { PatchError } from "../kubernetes/patch.ts";
import { templateHashOf, workload, type Workload } from "../kubernetes/workload.ts";
import { controlledBy } from "../../kube/object.ts";
import { storageHashAnnotation } from "../names.ts";
import { patchFault } from "../spec-fault.ts";
import type { BuilderWorld } from "./world.ts";

/** What Kiln last wrote to an object, and the generation that came of it. */
export interface Written {
  readonly hash: string;
  readonly generation: number | undefined;
}

/** What rendering needs besides the world. */
export interface DecideInput {
  readonly images: BuildkitImages;
  readonly kilnNamespace: string;
  /** buildkitd.toml of Builders that bring none. */
  readonly defaultConfig: string | undefined;
  /** Of the Secrets and ConfigMaps that its pods use; see kubernetes/contents.ts. */
  readonly contentFingerprint?: string | undefined;
  /** Instances that the workload is to have; see lifecycle/plan.ts. Default: as many as there are, or the driver's. */
  readonly replicas?: number | undefined;
  /** Whether any instance has a run: evictions have to wait then. */
  readonly isBusy: boolean;
  /** Why what the pods use cannot be read. */
  readonly contentProblem?: Problem | undefined;
  /** By the uid of the live object. */
  readonly written: ReadonlyMap<string, Written>;
}

/** The writes to make, in this order: removals, then applies. */
export interface Decision {
  readonly remove: readonly KubeObject[];
  readonly apply: readonly KubeObject[];
  /** Hash of the pods as they should be; undefined for a remote Builder. */
  readonly templateHash: string | undefined;
  /** Whether everything that is there is as it should be and nothing has to be written. */
  readonly settled: boolean;
  /** Whether the pods use Secrets or ConfigMaps of a person's. */
  readonly usesContents: boolean;
  /** Why the pods cannot be made as the spec asks; those that are there stay as they are. */
  readonly problem?: Problem;
}

const nothing: Decision = {
  remove: [],
  apply: [],
  templateHash: undefined,
  settled: true,
  usesContents: false,
};

/** Compares what is there with what the spec asks for. */
export function decide(world: BuilderWorld, input: DecideInput): Decision {
  // An object on its way out has its dependents removed by garbage collection: making one now would leak it.
  if (world.object.metadata.deletionTimestamp !== undefined || world.spec === undefined)
    return nothing;
  const { workloads, disruptionBudgets } = world.owned;
  const live = liveObjects(world.owned);
  const driver = world.spec.kubernetes;
  if (driver === undefined) {
    const remove = live.filter(isStaying);
    return { ...nothing, remove, settled: remove.length === 0 };
  }
  const replicas = input.replicas ?? workloads[0]?.spec?.replicas;
  const rendered = render(world, driver, { ...input, replicas });
  if ("problem" in rendered) return { ...nothing, problem: rendered.problem };
  if (input.contentProblem !== undefined) return { ...nothing, problem: input.contentProblem };
  const { desired } = rendered;
  const outdated = workloads.filter((live) => isOther(live, desired));
  const isBlocked = outdated.some((live) => live.kind === desired.kind);
  const wanted: KubeObject[] = [...rendered.around, ...(isBlocked ? [] : [desired])];
  const apply = wanted.filter((object) => !isAsWanted(find(live, object), object, input.written));
  return {
    remove: [...outdated, ...(input.isBusy ? [] : disruptionBudgets)].filter(isStaying),
    apply,
    templateHash: templateHashOf(desired),
    settled: outdated.length === 0 && apply.length === 0,
    usesContents: input.contentFingerprint !== undefined,
  };
}

/** All objects of a Builder with pods, or why they cannot be made. */
export function render(
  world: Pick<BuilderWorld, "ref" | "node" | "namespace" | "object" | "spec">,
  driver: RenderInput["driver"],
  input: Omit<DecideInput, "written" | "isBusy"> & { readonly isBusy?: boolean },
):
  | { readonly desired: Workload; readonly around: readonly KubeObject[] }
  | { readonly problem: Problem } {
  const { spec } = world;
  if (spec === undefined) throw new TypeError("a Builder without a spec has no objects");
  const config = daemonConfig(spec, input.defaultConfig);
  if ("problem" in config) return config;
  const from: RenderInput = {
    ref: world.ref,
    node: world.node,
    namespace: world.namespace,
    kilnNamespace: input.kilnNamespace,
    owner: controlledBy(world.object),
    driver,
    replicas: input.replicas,
    buildkitd: spec.buildkitd,
    config: config.text,
    images: input.images,
    contentFingerprint: input.contentFingerprint,
  };
  try {
    const budget = input.isBusy === true ? [disruptionBudget(from)] : [];
    return { desired: workload(from), around: [service(from), networkPolicy(from), ...budget] };
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    return {
      problem: { reason: "InvalidPodTemplatePatch", message: patchFault(error, world.node) },
    };
  }
}

/** What `written` remembers of an object that was sent. */
export function hashOf(object: KubeObject): string {
  return contentHash(object);
}

/** Of the other kind, or with volumes that can't be changed in place: it has to go first. */
function isOther(live: Workload, desired: Workload): boolean {
  if (live.kind !== desired.kind || live.metadata.name !== desired.metadata.name) return true;
  return (
    live.metadata.annotations?.[storageHashAnnotation] !==
      desired.metadata.annotations?.[storageHashAnnotation] &&
    live.metadata.annotations?.[storageHashAnnotation] !== undefined
  );
}

function liveObjects({
  workloads,
  services,
  networkPolicies,
  disruptionBudgets,
}: BuilderWorld["owned"]): KubeObject[] {
  return [...workloads, ...services, ...networkPolicies, ...disruptionBudgets];
}

function isStaying(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp === undefined;
}

function find(live: readonly KubeObject[], wanted: KubeObject): KubeObject | undefined {
  return live.find(
    ({ kind, metadata }) => kind === wanted.kind && metadata.name === wanted.metadata.name,
  );
}

/**
 * Whether a live object needs no write: all we would send is there; or it differs only in how the API
 * server spells what we sent (1000m, 1) and nobody has changed it since.
 */
function isAsWanted(
  live: KubeObject | undefined,
  wanted: KubeObject,
  written: ReadonlyMap<string, Written>,
): boolean {
  if (live === undefined || !includes(live.metadata, wanted.metadata)) return false;
  if (includes(live, wanted)) return true;
  const last = written.get(live.metadata.uid ?? "");
  return (
    last?.generation !== undefined &&
    last.generation === live.metadata.generation &&
    last.hash === hashOf(wanted)
  );
}

/** Whether every member of `wanted` is in `live` with the same value; lists must match in full. */
function includes(live: unknown, wanted: unknown): boolean {
  if (wanted === undefined) return true;
  if (Array.isArray(wanted)) {
    if (wanted.length === 0 && live === undefined) return true;
    return (
      Array.isArray(live) &&
      live.length === wanted.length &&
      wanted.every((item, index) => includes(live[index], item))
    );
  }
  if (typeof wanted === "object" && wanted !== null) {
    const members = Object.entries(wanted);
    // The API server drops empty maps and lists.
    if (live === undefined || live === null) return members.length === 0;
    return (
      typeof live === "object" &&
      members.every(([name, value]) => includes((live as Record<string, unknown>)[name], value))
    );
  }
  return live === wanted;
}
