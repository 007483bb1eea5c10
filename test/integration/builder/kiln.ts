// Kiln's Builder slice put together in this process against a real API server, as operator.ts does, and
// what a test does in place of the kubelet that is not there.

import { roleBindings, roles } from "../kube/rbac.ts";
import { randomInt } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pino, type Logger } from "pino";
import { customResourceDefinitions } from "../../../src/api/crd.ts";
import type { BuilderSpecInput, BuilderStatus } from "../../../src/api/v1alpha1/index.ts";
import {
  type Builders,
  type BuildersOptions,
  builderCaches,
  builderFeeds,
  builders,
  cacheList,
  clusterBuilders,
  createBuilders,
} from "../../../src/builder/index.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { EventRecorder } from "../../../src/kube/events.ts";
import { loadKubeConfig } from "../../../src/kube/http/credentials.ts";
import { kubeClient, type OwnedClient } from "../../../src/kube/rest.ts";
import {
  configMaps,
  coreEvents,
  customResourceDefinitions as crds,
  replicaSets,
  namespaces,
  pods,
  secrets,
  serviceAccounts,
  statefulSets,
  type Builtin,
  type CoreEvent,
  type Pod,
} from "../../../src/kube/types.ts";
import { start } from "../../cluster/base/process.ts";
import {
  type Buildkitd,
  buildkitd,
  type BuildkitdOptions,
  type ControlPlane,
  controlPlane,
  repositoryRoot,
  waitFor,
} from "../../cluster/index.ts";

export const kilnNamespace = "kiln-system";
const silent: Logger = pino({ level: process.env["KILN_TEST_LOG"] ?? "silent" });

/** Aborts a test's request when it takes far too long. */
export const soon = (): AbortSignal => AbortSignal.timeout(60_000);

/** What pods are made of. Nobody pulls it. */
export const kilnImages = {
  privileged: "registry.example/buildkit:v1",
  rootless: "registry.example/buildkit:v1-rootless",
  agent: "registry.example/kiln:v1",
};

/** What an installation may differ in. */
export type KilnOptions = Pick<BuildersOptions, "namespacedSockets"> &
  Partial<Pick<BuildersOptions, "log">>;

/** An API server with Kiln's kinds, and the running slice. */
export class Kiln {
  readonly plane: ControlPlane;
  readonly client: OwnedClient;
  readonly #options: KilnOptions;
  #slice: { readonly running: Builders; end(): Promise<void> } | undefined;
  #names = 0;

  private constructor(plane: ControlPlane, client: OwnedClient, options: KilnOptions) {
    this.plane = plane;
    this.client = client;
    this.#options = options;
  }

  static async start(options: KilnOptions = {}): Promise<Kiln> {
    const plane = await controlPlane();
    const client = kubeClient(loadKubeConfig(plane.kubeconfig), { userAgent: "kiln-test" });
    const kiln = new Kiln(plane, client, options);
    for (const definition of customResourceDefinitions())
      await client.apply(crds, definition as never, {}, soon());
    await until("Builders are served", async () => {
      await Promise.all([
        client.list(builders, {}, soon()),
        client.list(clusterBuilders, {}, soon()),
      ]);
      return true;
    });
    await client.create(namespaces, { metadata: { name: kilnNamespace } }, soon());
    await kiln.run();
    return kiln;
  }

  async stop(): Promise<void> {
    await this.halt();
    this.client.close();
    await this.plane.stop();
  }

  /** Starts the slice (again), as a controller that begins with empty hands. */
  async run(): Promise<void> {
    const { client } = this;
    const { log = silent, ...options } = this.#options;
    const caches = builderCaches(client, { log });
    const events = new EventRecorder({ client, instance: "test", log });
    const running = createBuilders({
      client,
      caches,
      events,
      log,
      namespace: kilnNamespace,
      images: kilnImages,
      concurrency: 4,
      ...options,
    });
    const unfeed = builderFeeds(caches).map(({ cache, keyFor }) =>
      cache.onChange(({ object, initial }) => {
        const key = keyFor(object);
        if (key !== undefined) running.changed(key, initial === true ? "low" : "normal");
      }),
    );
    for (const cache of cacheList(caches)) cache.start();
    await running.synced;
    running.start();
    this.#slice = {
      running,
      end: async () => {
        for (const end of unfeed) end();
        await running.stop(2_000);
        await Promise.all(cacheList(caches).map((cache) => cache.stop()));
        await events.stop(1_000);
      },
    };
  }

  /** Ends the slice; objects stay. */
  async halt(): Promise<void> {
    await this.#slice?.end();
    this.#slice = undefined;
  }

  get fleet() {
    if (this.#slice === undefined) throw new Error("the slice does not run");
    return this.#slice.running.fleet;
  }

  async namespace(): Promise<string> {
    this.#names += 1;
    const name = `builders-${this.#names}`;
    await this.client.create(namespaces, { metadata: { name } }, soon());
    const account = { metadata: { namespace: name, name: "default" } };
    await this.client.create(serviceAccounts, account, soon());
    return name;
  }

  /** Writes Builder `main`. */
  async builder(namespace: string, spec: BuilderSpecInput): Promise<void> {
    await this.client.apply(
      builders,
      { metadata: { namespace, name: "main" }, spec },
      { fieldManager: "test" },
      soon(),
    );
  }

  async status(namespace: string): Promise<BuilderStatus> {
    const object = await this.client.get(builders, { namespace, name: "main" }, soon());
    return (object?.status ?? {}) as BuilderStatus;
  }

  /** Waits until Ready of Builder `main` has this status and reason, and what `more` asks. */
  async becomes(
    namespace: string,
    wanted: string,
    more: (status: BuilderStatus) => boolean = () => true,
  ): Promise<BuilderStatus> {
    return await until(`Ready of ${namespace}/main is ${wanted}`, async () => {
      const status = await this.status(namespace);
      const ready = status.conditions?.find(({ type }) => type === "Ready");
      const is = `${ready?.status} ${ready?.reason}`;
      if (is === wanted && more(status)) return status;
      throw new Error(JSON.stringify(status));
    });
  }

  async secret(namespace: string, name: string, data: Record<string, string>): Promise<void> {
    const base64 = Object.fromEntries(
      Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
    );
    await this.client.apply(
      secrets,
      { metadata: { namespace, name }, data: base64 } as never,
      { fieldManager: "test" },
      soon(),
    );
  }

  async configMap(namespace: string, name: string, data: Record<string, string>): Promise<void> {
    const object = { metadata: { namespace, name }, data };
    await this.client.apply(configMaps, object as never, { fieldManager: "test" }, soon());
  }

  /** Lets a service account of the namespace get one Secret and one ConfigMap, as a user would. */
  async allow(namespace: string, account: string, name: string): Promise<void> {
    const metadata = { namespace, name: `${account}-${name}` };
    const rule = {
      apiGroups: [""],
      resources: ["secrets", "configmaps"],
      resourceNames: [name],
      verbs: ["get"],
    };
    await this.client.create(roles, { metadata, rules: [rule] } as never, soon());
    const subjects = [{ kind: "ServiceAccount", name: account, namespace }];
    const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: metadata.name };
    await this.client.create(roleBindings, { metadata, subjects, roleRef } as never, soon());
  }

  /** The workload of Builder `main`, or of a node of it, once it is there. */
  async workload(
    namespace: string,
    kind: "ReplicaSet" | "StatefulSet" = "ReplicaSet",
    name = "builder-main",
  ) {
    const type = kind === "ReplicaSet" ? replicaSets : statefulSets;
    return await until(`the ${kind} in ${namespace}`, async () => {
      return (await this.client.get<never>(type as never, { namespace, name }, soon())) as
        | Builtin<{
            spec: {
              template: {
                spec: { nodeSelector?: Record<string, string> };
                metadata: { labels: Record<string, string>; annotations: Record<string, string> };
              };
              replicas: number;
            };
          }>
        | undefined;
    });
  }

  /** A pod as the workload's controller would make it; `status` is what a kubelet would say. */
  async pod(
    namespace: string,
    name: string,
    status: object,
    of?: Awaited<ReturnType<Kiln["workload"]>>,
  ): Promise<void> {
    const { spec } = of ?? (await this.workload(namespace));
    const { labels, annotations } = spec.template.metadata;
    const initContainers = [
      { name: "buildkitd", image: "registry.example/buildkit:v1", restartPolicy: "Always" },
    ];
    const containers = [{ name: "agent", image: "registry.example/kiln:v1" }];
    await this.client.apply(
      pods,
      {
        metadata: { namespace, name, labels, annotations },
        spec: { initContainers, containers, automountServiceAccountToken: false },
      } as never,
      { fieldManager: "test" },
      soon(),
    );
    await this.podStatus(namespace, name, status);
  }

  /** Says what a kubelet would say. */
  async podStatus(namespace: string, name: string, status: object): Promise<void> {
    await this.client.applyStatus(
      pods,
      { metadata: { namespace, name }, status } as Pod,
      { fieldManager: "kubelet" },
      soon(),
    );
  }

  /** A Warning that Kubernetes would record about an object. */
  async warn(object: KubeObject, reason: string, message: string): Promise<void> {
    const { namespace, name, uid } = object.metadata;
    const involvedObject = {
      apiVersion: object.apiVersion,
      kind: object.kind,
      namespace,
      name,
      uid,
    };
    const event = {
      metadata: { namespace, name: `${name}.${reason}` },
      involvedObject,
      type: "Warning",
      reason,
      message,
    };
    await this.client.create(coreEvents, event as never, soon());
  }

  /** Events of a namespace. */
  async events(namespace: string): Promise<CoreEvent[]> {
    return await this.client.list(coreEvents, { namespace }, soon());
  }

  async deletePod(namespace: string, name: string): Promise<void> {
    await this.client.delete(pods, { namespace, name }, soon());
  }

  /** A real buildkitd, and an agent with the certificate that Kiln issued for the namespace, on an address of its own. */
  async daemon(
    namespace: string,
    folder: string,
    options: BuildkitdOptions = { mirror: false },
  ): Promise<{ address: string; daemon: Pick<Buildkitd, "stop" | "buildctl"> }> {
    const address = loopback();
    const secret = await until(`the certificate of ${namespace}`, async () => {
      return await this.client.get(secrets, { namespace, name: "kiln-builder-tls" }, soon());
    });
    mkdirSync(folder, { recursive: true });
    for (const name of ["ca.crt", "tls.crt", "tls.key"])
      writeFileSync(path.join(folder, name), Buffer.from(secret.data?.[name] ?? "", "base64"));
    const daemon = await buildkitd(options);
    const agent = await start({
      name: `agent-${address}`,
      folder,
      command: [
        process.execPath,
        path.join(repositoryRoot, "src/cli/main.ts"),
        "agent",
        `--buildkitd=${daemon.address}`,
        `--address=${address}:1235`,
        `--tls=${folder}`,
        `--data=${path.join(folder, "data")}`,
        "--probe-address=127.0.0.1:0",
        "--grace=4",
      ],
    });
    const stop = async (): Promise<void> => {
      await agent.stop();
      await daemon.stop();
    };
    const buildctl: Buildkitd["buildctl"] = async (args) => await daemon.buildctl(args);
    return { address, daemon: { stop, buildctl } };
  }
}

/** The status of a pod whose buildkitd and agent run at `podIP`. */
export function runningAt(podIP: string, container = "containerd://1"): object {
  const state = { running: { startedAt: "2026-01-01T00:00:00Z" } };
  return {
    phase: "Running",
    podIP,
    podIPs: [{ ip: podIP }],
    initContainerStatuses: [
      containerStatus({ state, ready: true, started: true, containerID: container }),
    ],
    containerStatuses: [
      containerStatus({
        name: "agent",
        image: "registry.example/kiln:v1",
        ...{ state, ready: true, started: true, containerID: `${container}-agent` },
      }),
    ],
  };
}

/** The status of a pod whose buildkitd is in `state`. */
export function waitingFor(reason: string, message: string): object {
  return {
    phase: "Pending",
    initContainerStatuses: [containerStatus({ state: { waiting: { reason, message } } })],
  };
}

function containerStatus(over: object): object {
  return {
    name: "buildkitd",
    image: "registry.example/buildkit:v1",
    imageID: "",
    ready: false,
    restartCount: 0,
    ...over,
  };
}

/** All of 127/8 is this machine: a random address makes the port free. */
export function loopback(): string {
  return `127.${randomInt(1, 255)}.${randomInt(0, 255)}.${randomInt(2, 255)}`;
}

/** Waits until `probe` gives something. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined>,
  deadlineMs = 30_000,
): Promise<T> {
  return await waitFor(what, probe, { deadlineMs });
}
