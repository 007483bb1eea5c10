// How are the daemons of a Builder that are no pods of Kiln's reached, asked, and kept?

import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import type { Place } from "../../agent/agent.ts";
import { dialStdio, type Engine } from "../../buildkit/index.ts";
import { execInContainer } from "../../docker/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { containerOf, type External } from "../reconcile/externals.ts";
import { containerFiles } from "../docker/files.ts";
import { type ContainerRecord, isSameContainer } from "../docker/records.ts";
import { wantedContainer } from "../docker/container.ts";
import { engineStore } from "../docker/store.ts";
import type { ContainerKeeper, ContainerTarget } from "../docker/keeper.ts";
import { builderKey, type BuilderRef } from "../instance.ts";
import { contentHash } from "../kubernetes/hash.ts";
import { workloadNamespace } from "../names.ts";
import { remoteEndpoint } from "../remote/endpoint.ts";
import { engineOf } from "../remote/hosts.ts";
import type { SecretReader } from "../remote/secrets.ts";
import type { ProbeTarget } from "./probe.ts";

/** What reaching them needs. */
export interface ExternalDeps {
  readonly client: KubeClient;
  readonly kilnNamespace: string;
  /** Whether Builders may use sockets in the controller's container too, and not ClusterBuilders only. */
  readonly namespacedSockets: boolean;
}

/** A Builder whose spec is understood. */
export interface Located {
  readonly ref: BuilderRef;
  readonly spec: BuilderSpec;
}

/** How runs and probes reach a daemon. Throws as `remoteEndpoint` and `engineOf`. */
export async function externalPlace(
  of: Located,
  one: External,
  deps: ExternalDeps,
  signal: AbortSignal,
): Promise<Place> {
  const at = { field: one.field, reader: readerOf(of, deps) };
  const { driver } = one;
  if (driver.kind === "Remote")
    return { kind: "daemon", endpoint: await remoteEndpoint(driver.value, at, signal) };
  const engine = await engineOf(driver.value, at, signal);
  if (driver.kind === "Docker") return { kind: "daemon", endpoint: { kind: "docker", engine } };
  const container = containerOf(one);
  const dial = (dialling: AbortSignal) => execInContainer(engine, container, dialStdio(), dialling);
  const store = engineStore(engine);
  return { kind: "daemon", endpoint: { kind: "stream", name: one.address, dial }, engine: store };
}

/** The daemons to ask how they are: a container only while it runs. */
export function externalTargets(
  of: Located,
  list: readonly External[],
  keeper: Pick<ContainerKeeper, "result">,
  deps: ExternalDeps,
): ProbeTarget[] {
  return list.flatMap((one) => {
    const isKept = one.driver.kind === "DockerContainer";
    const running = isKept ? keeper.result(builderKey(of.ref), one.id)?.running : "";
    if (running === undefined) return [];
    const { serviceAccountName } = of.spec;
    return [
      {
        id: one.id,
        address: one.address,
        identity: contentHash({ driver: one.driver, serviceAccountName, running }),
        place: (signal: AbortSignal) => externalPlace(of, one, deps, signal),
      },
    ];
  });
}

/** What keeping containers needs besides. */
export interface KeepDeps extends ExternalDeps {
  readonly defaultImage: string;
  readonly defaultConfig: string | undefined;
  readonly uid: string;
  readonly running: (instanceId: string) => number;
  /** What is written down on the Builder now. */
  readonly records: () => readonly ContainerRecord[];
}

/** The containers that a Builder wants. */
export function containerTargets(
  of: Located,
  list: readonly External[],
  deps: KeepDeps,
): ContainerTarget[] {
  return list.flatMap((one) => {
    const { driver } = one;
    if (driver.kind !== "DockerContainer") return [];
    const reader = readerOf(of, deps);
    const { defaultConfig, defaultImage, uid } = deps;
    const { buildkitd, allow, serviceAccountName } = of.spec;
    const engine = (signal: AbortSignal): Promise<Engine> =>
      engineOf(driver.value, { field: one.field, reader }, signal);
    const wanted = async (signal: AbortSignal) => {
      const from = { defaultConfig, reader };
      const files = await containerFiles(of.spec, driver.value, from, signal);
      const owner = { ref: of.ref, uid };
      const name = containerOf(one);
      return wantedContainer({ driver: driver.value, name, owner, defaultImage, files });
    };
    return [
      {
        id: one.id,
        address: driver.value.endpoint,
        identity: contentHash({ driver: driver.value, buildkitd, allow, serviceAccountName }),
        engine,
        wanted,
        isBusy: () => deps.running(one.id) > 0,
        isRecorded: () => {
          const own = containerRecords([one]);
          return deps.records().some((other) => own.some((mine) => isSameContainer(mine, other)));
        },
      },
    ];
  });
}

/** What has to be remembered of them. */
export function containerRecords(list: readonly External[]): ContainerRecord[] {
  return list.flatMap((one) => {
    if (one.driver.kind !== "DockerContainer") return [];
    const { endpoint, tls, ssh, whenDeleted } = one.driver.value;
    const connection = { endpoint, ...(tls && { tls }), ...(ssh && { ssh }) };
    return [{ name: containerOf(one), connection, keepVolume: whenDeleted === "Retain" }];
  });
}

/** Whose rights read a Builder's Secrets. */
export function readerOf(
  {
    ref,
    spec,
  }: { readonly ref: BuilderRef; readonly spec: Pick<BuilderSpec, "serviceAccountName"> },
  deps: ExternalDeps,
): SecretReader {
  const namespace = workloadNamespace(ref, deps.kilnNamespace);
  return {
    client: deps.client,
    namespace,
    serviceAccountName: spec.serviceAccountName,
    mayUseSockets: ref.kind === "ClusterBuilder" || deps.namespacedSockets,
  };
}
