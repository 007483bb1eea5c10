// Why a run may not go on: an ordered list, most fundamental first, the first violation wins. Each check is a fact about
// the world and says in its sentence what to do.

import type { SolveFailure } from "../../agent/agent.ts";
import type { WaitReason } from "./decide.ts";
import { unmakable, unsplittable } from "../parts/split.ts";
import { forbidden } from "../policy.ts";
import { isForEngine } from "../../agent/outputs/places.ts";
import { hasEngine, isLoading } from "../plan/load.ts";
import { finalFailure } from "../status/failure.ts";
import type { RunWorld } from "./world.ts";

/** What a check found: the run can't work, or not yet. */
export type Violation =
  | { readonly kind: "reject"; readonly failure: SolveFailure }
  | { readonly kind: "wait"; readonly why: WaitReason; readonly recheckMs?: number };

/** A rule. Undefined: it holds. */
export type Check = (world: RunWorld) => Violation | undefined;

/** The spec makes a solve request. */
const specIsPlannable: Check = ({ plan }) =>
  "request" in plan ? undefined : { kind: "reject", failure: plan };

/**
 * The Builder exists. A missing one is waited for and not an error of the run: Git and `kubectl apply -f folder/` give
 * no order between a Builder and its first run. The run is `Stalled` meanwhile, so that nobody waits unknowingly.
 */
const builderExists: Check = ({ run, builder }) => {
  if (builder !== undefined) return undefined;
  const ref = run.spec.builderRef;
  const namespace = run.metadata.namespace ?? "";
  const what =
    ref === undefined
      ? `There is no Builder "default" in namespace "${namespace}" and no ClusterBuilder "default"; create one, or name another in spec.builderRef.`
      : ref.kind === "ClusterBuilder"
        ? `There is no ClusterBuilder "${ref.name}"; create it, or start a new run with another builderRef.`
        : `There is no Builder "${ref.name}" in namespace "${namespace}"; create it, or start a new run with another builderRef.`;
  return {
    kind: "wait",
    why: { phase: "Pending", reason: "BuilderNotFound", message: what, stalled: true },
  };
};

/** The Builder lets this run do what it asks for. Its answer is final: an edit of the Builder is for the next run. */
const builderAllows: Check = ({ run, builder, plan }) => {
  if (builder?.spec === undefined || !("request" in plan)) return undefined;
  const { ref, spec } = builder;
  const failure = forbidden({ run, plan, allow: spec.allow, builder: `${ref.kind} "${ref.name}"` });
  return failure && { kind: "reject", failure };
};

/** What is to be loaded, or goes nowhere else on a Builder with `defaultLoad`, needs a Docker engine. */
const resultHasAPlace: Check = ({ builder, plan }) => {
  if (builder?.spec === undefined || !("request" in plan)) return undefined;
  const { ref, spec } = builder;
  if (!isLoading(plan.request, spec) || hasEngine(spec)) return undefined;
  const who = `${ref.kind} "${ref.name}"`;
  const index = plan.request.exporters.findIndex(isForEngine);
  const message =
    index < 0
      ? `${who} has defaultLoad, so a result without an output is for a Docker engine, and there is none behind it. Start a new run that names an output, or set spec.defaultLoad: false there.`
      : `spec.outputs[${index}].docker.to.engine needs a Docker engine, and there is none behind ${who}: start a new run that pushes the image (outputs[].image) or gives the archive another place, or one on a Builder of kind docker or dockerContainer.`;
  const failure = finalFailure({ class: "User", reason: "NoEngineToLoad", message });
  return { kind: "reject", failure };
};

/** Local caches are directories of an agent beside its buildkitd, which has to be given room for them. */
const localCachesHaveAPlace: Check = ({ builder, plan }) => {
  if (builder?.spec === undefined || !("request" in plan)) return undefined;
  const { cacheImports, cacheExports } = plan.request;
  const asks = [...cacheImports, ...cacheExports].some(({ type }) => type === "local");
  if (!asks) return undefined;
  const pods = [builder.spec, ...builder.spec.nodes].flatMap(({ kubernetes }) => kubernetes ?? []);
  if (pods.length > 0 && pods.every(({ localCaches }) => localCaches)) return undefined;
  const { kind, name } = builder.ref;
  const what =
    pods.length === 0
      ? "use another kind of cache in a new run, since its daemon is not beside an agent of Kiln"
      : "set localCaches in all of its kubernetes blocks, or use another kind of cache in a new run";
  const message = `${kind} "${name}" keeps no local caches: ${what}.`;
  const failure = finalFailure({ class: "User", reason: "LocalCacheUnavailable", message });
  return { kind: "reject", failure };
};

/** Runs whose images this one builds from have ended, and well. */
const otherRunsAreDone: Check = ({ others }) => {
  const all = [...(others?.values() ?? [])];
  const failed = all.find(({ kind }) => kind === "fail");
  if (failed?.kind === "fail") return { kind: "reject", failure: failed.failure };
  const open = all.find(({ kind }) => kind === "wait");
  if (open?.kind !== "wait") return undefined;
  const { reason, message, stalled } = open;
  return { kind: "wait", why: { phase: "Pending", reason, message, stalled } };
};

/** What a run would be split into can be put together again. */
const splitsWell: Check = ({ run, groups, builder, plan }) => {
  if (groups === undefined || !("request" in plan)) return undefined;
  const failure = unsplittable(run) ?? unmakable(plan, groups, builder?.instances ?? []);
  return failure && { kind: "reject", failure };
};

/** The Builder has an instance that can take work. */
const builderIsReady: Check = ({ builder }) => {
  if (builder?.notReady === undefined) return undefined;
  const { reason, message } = builder.notReady;
  const text = `${builder.ref.kind} "${builder.ref.name}" is not ready (${reason}): ${message}`;
  return {
    kind: "wait",
    why: { phase: "Pending", reason: "BuilderNotReady", message: text, stalled: false },
  };
};

/** What has to hold before a run may take a slot. */
export const admission: readonly Check[] = [
  specIsPlannable,
  builderExists,
  builderAllows,
  resultHasAPlace,
  localCachesHaveAPlace,
  otherRunsAreDone,
  builderIsReady,
  splitsWell,
];
