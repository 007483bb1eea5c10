// Which daemons of a Builder can be dialled, and how? Used by the probes and by runs: both take the same way.

import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import type { Place } from "../../agent/agent.ts";
import type { Endpoint } from "../../buildkit/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { remoteInstance, runningPod } from "./facts.ts";
import type { BuilderRef } from "../instance.ts";
import { contentHash } from "../kubernetes/hash.ts";
import { agentPort, serverName, workloadNamespace } from "../names.ts";
import type { Identities } from "../pki/identities.ts";
import type { ProbeTarget } from "./probe.ts";
import { remoteEndpoint } from "../remote/endpoint.ts";
import type { BuilderWorld } from "../world.ts";

/** What dialling needs. */
export interface TargetDeps {
  readonly client: KubeClient;
  readonly identities: Identities;
  readonly kilnNamespace: string;
}

/** The daemons to ask how they are. */
export function probeTargets(
  world: Pick<BuilderWorld, "ref" | "spec" | "namespace" | "owned">,
  deps: TargetDeps,
): ProbeTarget[] {
  const { ref, spec } = world;
  if (spec === undefined) return [];
  if (spec.remote !== undefined) {
    const { remote, serviceAccountName } = spec;
    return [
      {
        id: remoteInstance,
        address: remote.endpoint,
        identity: contentHash({ remote, serviceAccountName }),
        place: (signal) => remotePlace(ref, spec, deps, signal),
      },
    ];
  }
  return world.owned.pods.flatMap((pod) => {
    const running = runningPod(pod);
    if (running === undefined || pod.metadata.deletionTimestamp !== undefined) return [];
    const { host, address, identity } = running;
    const place = (signal: AbortSignal) => podPlace(ref, host, deps, signal);
    const { diskPressureThreshold } = spec.kubernetes ?? {};
    return [{ id: pod.metadata.name, address, identity, diskPressureThreshold, place }];
  });
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

/** How to reach a remote Builder. Throws as `remoteEndpoint`; TypeError for a Builder that is not remote. */
export async function remotePlace(
  ref: BuilderRef,
  spec: BuilderSpec,
  deps: TargetDeps,
  signal: AbortSignal,
): Promise<Place> {
  if (spec.remote === undefined) throw new TypeError("the Builder is not remote");
  const namespace = workloadNamespace(ref, deps.kilnNamespace);
  const reader = { client: deps.client, namespace, serviceAccountName: spec.serviceAccountName };
  const endpoint = await remoteEndpoint(spec.remote, { field: "spec.remote", reader }, signal);
  return { kind: "daemon", endpoint };
}
