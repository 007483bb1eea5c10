// What is done for the pods of one kind in one reconcile: their contents are read, their instances come and go, their
// objects are written. Given a view of the Builder (see views.ts).

import type { Logger } from "pino";
import type { KubeClient } from "../../kube/client.ts";
import { keyOf, type KubeObject } from "../../kube/object.ts";
import { share } from "../../placement/share.ts";
import type { BuilderCaches } from "../caches.ts";
import type { InstanceLoads } from "../fleet.ts";
import { platformsOf } from "../health/facts.ts";
import type { Problem } from "../health/problem.ts";
import type { TargetDeps } from "../health/targets.ts";
import { groupNamed } from "../kubernetes/groups.ts";
import type { BuildkitImages } from "../kubernetes/input.ts";
import { references } from "../kubernetes/references.ts";
import { templateHashOf } from "../kubernetes/workload.ts";
import { carryOut } from "../lifecycle/carry-out.ts";
import { capacityOf, type FleetInput, fleetState } from "../lifecycle/fleet-state.ts";
import type { FleetState } from "../lifecycle/plan.ts";
import type { Uses } from "../uses.ts";
import { act } from "./act.ts";
import { readContents } from "./contents.ts";
import { decide, render, type DecideInput, type Decision, type Written } from "./decide.ts";
import type { BuilderWorld } from "./world.ts";

/** What tending works with. */
export interface TendDeps extends TargetDeps {
  readonly client: KubeClient;
  readonly caches: BuilderCaches;
  readonly loads: InstanceLoads;
  readonly uses: Uses;
  readonly log: Logger;
  readonly images: BuildkitImages;
  readonly defaultConfig: string | undefined;
  readonly now: () => Date;
  /** By uid of a live object; shared by all reconciles of the process. */
  readonly written: Map<string, Written>;
}

/** What came of it. */
export interface Tended {
  readonly view: BuilderWorld;
  readonly decision: Decision;
  /** Undefined without pods, and while nothing is known about them. */
  readonly fleet: FleetState | undefined;
  readonly problem: Problem | undefined;
}

/** How far a view may be tended. */
export interface TendInput {
  /** Runs that wait for the pods of this kind. */
  readonly queued: number;
  /** Some daemon was not asked yet: no instance is judged. */
  readonly isUnasked: boolean;
}

/** Does it. Rejects when the API server could not be asked. */
export async function tend(
  view: BuilderWorld,
  { queued, isUnasked }: TendInput,
  deps: TendDeps,
  signal: AbortSignal,
): Promise<Tended> {
  const { ref } = view;
  const isBusy = view.instances.some(({ id }) => deps.loads.running(ref, id) > 0);
  const contents = await contentsOf(view, deps, signal);
  const input = { ...deps, ...contents, isBusy };
  const fleet = isUnasked ? undefined : fleetOf(view, queued, input);
  const replicas = fleet && (await carryOut(view, fleet, deps, signal));
  const decision = decide(view, { ...input, replicas });
  const { client, log, written, caches } = deps;
  const known = (object: KubeObject): boolean => isKnown(object, caches);
  const refused = await act(view.object, decision, { client, log, written, known }, signal);
  return { view, decision, fleet, problem: refused ?? decision.problem };
}

/** What the fleet of a view is judged by. */
export function fleetInput(
  { ref }: BuilderWorld,
  templateHash: string,
  deps: Pick<TendDeps, "loads" | "uses" | "now"> & { readonly queued: number },
): FleetInput {
  return {
    templateHash,
    running: (id) => deps.loads.running(ref, id),
    queued: deps.queued,
    spent: deps.uses.spent(ref),
    starts: deps.uses.starts(ref),
    now: deps.now(),
  };
}

/** Of the runs that wait for the Builder, how many count for each of its views. */
export function demandOf(views: readonly BuilderWorld[], loads: InstanceLoads): readonly number[] {
  const kinds = views.map(({ ref, spec, instances, node }) => {
    const driver = spec?.kubernetes;
    const known = [...new Set(instances.flatMap(platformsOf))];
    const named = spec && groupNamed(node, spec)?.platforms;
    const running = instances.reduce((sum, { id }) => sum + loads.running(ref, id), 0);
    const most = driver?.scaling?.max ?? driver?.replicas ?? (driver === undefined ? 0 : 1);
    return {
      platforms: named ?? (known.length > 0 ? known : undefined),
      room: spec === undefined ? 0 : Math.max(0, most * capacityOf(spec) - running),
    };
  });
  const [view] = views;
  return view === undefined ? [] : share(loads.waiting(view.ref), kinds);
}

/** The fleet, with instances judged by what the pods should be; undefined without pods, or while that is not known. */
function fleetOf(
  view: BuilderWorld,
  queued: number,
  deps: TendDeps & Pick<DecideInput, "contentFingerprint" | "contentProblem" | "isBusy">,
): FleetState | undefined {
  const driver = view.spec?.kubernetes;
  if (driver === undefined || deps.contentProblem !== undefined) return undefined;
  const rendered = render(view, driver, deps);
  const hash = "problem" in rendered ? undefined : templateHashOf(rendered.desired);
  return hash === undefined
    ? undefined
    : fleetState(view, fleetInput(view, hash, { ...deps, queued }));
}

/** Hash of the Secrets and ConfigMaps that the pods use, or why they cannot be read. */
async function contentsOf(
  view: BuilderWorld,
  deps: TendDeps,
  signal: AbortSignal,
): Promise<Pick<DecideInput, "contentFingerprint" | "contentProblem">> {
  const { spec, namespace } = view;
  if (spec?.kubernetes === undefined) return {};
  const rendered = render(view, spec.kubernetes, deps);
  if ("problem" in rendered) return {};
  const pod = rendered.desired.spec?.template?.spec;
  const { serviceAccountName } = spec;
  const reader = { client: deps.client, namespace, serviceAccountName };
  const contents = await readContents(pod === undefined ? [] : references(pod), reader, signal);
  return "problem" in contents
    ? { contentProblem: contents.problem }
    : { contentFingerprint: contents.fingerprint };
}

function isKnown(object: KubeObject, caches: BuilderCaches): boolean {
  const key = keyOf(object.metadata);
  switch (object.kind) {
    case "ReplicaSet":
      return caches.replicaSets.get(key) !== undefined;
    case "StatefulSet":
      return caches.statefulSets.get(key) !== undefined;
    case "Service":
      return caches.services.get(key) !== undefined;
    case "PodDisruptionBudget":
      return caches.disruptionBudgets.get(key) !== undefined;
    default:
      return caches.networkPolicies.get(key) !== undefined;
  }
}
