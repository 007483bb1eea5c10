// A Builder with pods of several kinds, looked at kind by kind: each view is a Builder with the pods of one, so that
// whatever judges and makes pods has to know of one only. Pure.

import type { KubeObject } from "../../kube/object.ts";
import { nodeOf, podGroups } from "../kubernetes/groups.ts";
import type { BuilderWorld, Owned } from "./world.ts";

/** The views, in the order of the spec; then what belongs to no kind that the spec has, for removal. */
export function viewsOf(world: BuilderWorld): BuilderWorld[] {
  const { spec, owned } = world;
  if (spec === undefined) return [world];
  const groups = podGroups(spec);
  const views = groups.map(({ node, driver }) =>
    view({ ...world, node, spec: { ...spec, kubernetes: driver } }, (of) => of === node),
  );
  const known = new Set(groups.map(({ node }) => node));
  const isLeft = (of: string | undefined): boolean => !known.has(of);
  if (
    !Object.values(owned)
      .flat()
      .some((one) => isLeft(nodeOf(one)))
  )
    return views;
  return [...views, view({ ...world, spec: { ...spec, kubernetes: undefined } }, isLeft)];
}

function view(world: BuilderWorld, has: (node: string | undefined) => boolean): BuilderWorld {
  const owned = ownedOf(world.owned, has);
  const pods = new Set(owned.pods.map(({ metadata }) => metadata.name));
  return { ...world, owned, instances: world.instances.filter(({ id }) => pods.has(id)) };
}

/** Of all that is there, what belongs to some nodes. */
export function ownedOf(owned: Owned, has: (node: string | undefined) => boolean): Owned {
  const mine = <T extends KubeObject>(list: readonly T[]): T[] =>
    list.filter((one) => has(nodeOf(one)));
  return {
    workloads: mine(owned.workloads),
    services: mine(owned.services),
    networkPolicies: mine(owned.networkPolicies),
    disruptionBudgets: mine(owned.disruptionBudgets),
    pods: mine(owned.pods),
  };
}
