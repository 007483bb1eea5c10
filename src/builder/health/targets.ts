// Which daemons of a Builder can be dialled, and how? Used by the probes and by runs: both take the same way.

import type { Place } from "../../agent/agent.ts";
import type { Endpoint } from "../../buildkit/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import type { ContainerKeeper } from "../docker/keeper.ts";
import { externals } from "../reconcile/externals.ts";
import { externalTargets } from "./external-targets.ts";
import { groupOf } from "../kubernetes/groups.ts";
import { runningPod } from "./facts.ts";
import type { BuilderRef } from "../instance.ts";
import { agentPort, serverName, workloadNamespace } from "../names.ts";
import type { Identities } from "../pki/identities.ts";
import type { ProbeTarget } from "./probe.ts";
import type { BuilderWorld } from "../reconcile/world.ts";

/** What dialling needs. */
export interface TargetDeps {
  readonly client: KubeClient;
  readonly identities: Identities;
  readonly kilnNamespace: string;
  readonly namespacedSockets: boolean;
  readonly keeper: Pick<ContainerKeeper, "result">;
}

/** The daemons to ask how they are. */
export function probeTargets(
  world: Pick<BuilderWorld, "ref" | "spec" | "namespace" | "owned">,
  deps: TargetDeps,
): ProbeTarget[] {
  const { ref, spec } = world;
  if (spec === undefined) return [];
  const ofPods = world.owned.pods.flatMap((pod) => {
    const running = runningPod(pod);
    if (running === undefined || pod.metadata.deletionTimestamp !== undefined) return [];
    const { host, address, identity, isReported } = running;
    const place = (signal: AbortSignal) => podPlace(ref, host, deps, signal);
    const { diskPressureThreshold } = groupOf(pod, spec)?.driver ?? {};
    const id = pod.metadata.name;
    return [{ id, address, identity, isReported, diskPressureThreshold, place }];
  });
  const outside = externalTargets({ ref, spec }, externals(ref, spec), deps.keeper, deps);
  return [...ofPods, ...outside];
}

/** How to reach a pod of Kiln's, with the controller's certificate of now. */
export async function podPlace(
  ref: BuilderRef,
  host: string,
  deps: TargetDeps,
  signal: AbortSignal,
): Promise<Place> {
  const { ca, certificate, key } = await deps.identities.client(signal);
  const name = serverName(ref, workloadNamespace(ref, deps.kilnNamespace));
  const endpoint: Endpoint = {
    kind: "tcp",
    host,
    port: agentPort,
    tls: { ca, cert: certificate, key, serverName: name },
  };
  return { kind: "agent", endpoint };
}
