// The containers that a Builder has on Docker engines, in one reconcile: written down before they are made, kept by loops of
// their own, removed when they are no longer wanted.

import type { EventSink } from "../../kube/events.ts";
import type { Logger } from "pino";
import { forgetAll, keepRecords } from "../docker/forget.ts";
import type { ContainerKeeper } from "../docker/keeper.ts";
import { storedBuilder, type BuilderCaches } from "../caches.ts";
import { isSameContainer, recordsOf } from "../docker/records.ts";
import { type External, externals } from "./externals.ts";
import {
  containerRecords,
  containerTargets,
  readerOf,
  type ExternalDeps,
} from "../health/external-targets.ts";
import type { InstanceLoads } from "../fleet.ts";
import { builderKey } from "../instance.ts";
import type { BuildkitImages } from "../kubernetes/input.ts";
import type { Problem } from "../health/problem.ts";
import type { BuilderWorld } from "./world.ts";

/** What it works with. */
export interface ContainersDeps extends ExternalDeps {
  readonly keeper: ContainerKeeper;
  readonly loads: InstanceLoads;
  readonly images: BuildkitImages;
  readonly defaultConfig: string | undefined;
  readonly events: EventSink;
  readonly log: Logger;
  readonly caches: BuilderCaches;
}

/** Of a Builder that stays: resolves to why one that is no longer wanted could not be removed. Rejects with `ApiError`. */
export async function keepContainers(
  world: BuilderWorld,
  deps: ContainersDeps,
  signal: AbortSignal,
): Promise<Problem | undefined> {
  const { ref, spec, object } = world;
  if (spec === undefined) return undefined;
  const list = externals(ref, spec);
  const of = { ref, spec };
  const reader = readerOf(of, deps);
  const { client, log } = deps;
  const known = recordsOf(object);
  // An engine that never answered has nothing of ours: nobody shall wait for it later.
  const isReached = ({ id }: External): boolean =>
    deps.keeper.result(builderKey(ref), id)?.reached === true;
  const wanted = list.flatMap((one) =>
    containerRecords([one]).filter(
      (record) => isReached(one) || known.some((other) => isSameContainer(record, other)),
    ),
  );
  const problem = await keepRecords(object, wanted, { client, reader, log }, signal);
  const targets = containerTargets(of, list, {
    ...deps,
    defaultImage: deps.images.privileged,
    uid: object.metadata.uid ?? "",
    running: (id) => deps.loads.running(ref, id),
    records: () => {
      const now = storedBuilder(deps.caches, ref);
      return now === undefined || now.metadata.uid !== object.metadata.uid ? [] : recordsOf(now);
    },
  });
  deps.keeper.watch(builderKey(ref), targets);
  return problem;
}

/** Of a Builder that is being deleted: resolves to whether all are gone. Rejects with `ApiError`. */
export async function removeContainers(
  world: BuilderWorld,
  deps: ContainersDeps,
  signal: AbortSignal,
): Promise<boolean> {
  const { ref, spec, object, instances } = world;
  const isBusy = instances.some(({ id }) => deps.loads.running(ref, id) > 0);
  if (isBusy) return false;
  deps.keeper.watch(builderKey(ref), []);
  const { serviceAccountName = "default" } = spec ?? {};
  const reader = readerOf({ ref, spec: { serviceAccountName } }, deps);
  const { client, log } = deps;
  const problem = await forgetAll(object, { client, reader, log }, signal);
  if (problem === undefined) return true;
  const { reason, message } = problem;
  deps.events.event(object, { type: "Warning", reason, message });
  return false;
}
