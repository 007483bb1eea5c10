// What the kubelet says about the containers of a Builder's pod: the daemon's is an init container that stays. Pure.

import type { Pod } from "../../kube/types.ts";
import { agentContainer, buildkitdContainer } from "./agent-container.ts";

/** The kubelet's word on one container. */
export type ContainerStatus = NonNullable<NonNullable<Pod["status"]>["containerStatuses"]>[number];

/** All containers of the pod that the kubelet knows of, in the order in which they start. */
export function containerStatuses({ status }: Pod): readonly ContainerStatus[] {
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
}

/** The daemon's and the agent's; undefined for one that the kubelet does not know of yet. */
export function kilnContainers(pod: Pod): {
  readonly buildkitd: ContainerStatus | undefined;
  readonly agent: ContainerStatus | undefined;
} {
  const statuses = containerStatuses(pod);
  const find = (wanted: string): ContainerStatus | undefined =>
    statuses.find(({ name }) => name === wanted);
  return { buildkitd: find(buildkitdContainer), agent: find(agentContainer) };
}
