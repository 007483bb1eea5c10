// Builders, pods and answers as tests need them: defaults that work, changed where a test says so.

import { parseBuilder } from "../../../src/api/parse.ts";
import type { BuilderSpec, BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";
import type { RenderInput } from "../../../src/builder/kubernetes/input.ts";
import type { ProbeResult } from "../../../src/builder/health/probe.ts";
import type { Pod } from "../../../src/kube/types.ts";

/** A spec with its defaults filled in. */
export function aSpec(input: BuilderSpecInput): BuilderSpec {
  const object = {
    apiVersion: "kiln.build/v1alpha1",
    kind: "Builder",
    metadata: { name: "main" },
    spec: input,
  };
  return parseBuilder(object).spec;
}

/** What rendering Builder shop/main takes. */
export function aRender(
  kubernetes: NonNullable<BuilderSpecInput["kubernetes"]> = {},
  over: Partial<RenderInput> = {},
): RenderInput {
  const driver = aSpec({ kubernetes }).kubernetes;
  if (driver === undefined) throw new TypeError("the driver was given");
  return {
    ref: { kind: "Builder", namespace: "shop", name: "main" },
    namespace: "shop",
    kilnNamespace: "kiln-system",
    owner: {
      apiVersion: "kiln.build/v1alpha1",
      kind: "Builder",
      name: "main",
      uid: "5c6f2b1e-0000-4000-8000-000000000001",
      controller: true,
      blockOwnerDeletion: true,
    },
    driver,
    config: undefined,
    images: {
      privileged: "registry.example/buildkit:v1",
      rootless: "registry.example/buildkit:v1-rootless",
      agent: "registry.example/kiln:v1",
    },
    ...over,
  };
}

type PodStatus = NonNullable<Pod["status"]>;
type ContainerStatus = NonNullable<PodStatus["containerStatuses"]>[number];

/** The status of a pod's buildkitd container, or of another. */
export function aContainer(over: Partial<ContainerStatus> = {}): ContainerStatus {
  return {
    name: "buildkitd",
    image: "registry.example/buildkit:v1",
    imageID: "",
    ready: false,
    restartCount: 0,
    containerID: "containerd://1",
    ...over,
  };
}

/** A pod of Builder shop/main whose buildkitd and agent run. */
export function aPod(
  status: Partial<PodStatus> = {},
  metadata: Partial<Pod["metadata"]> = {},
): Pod {
  const running = { running: { startedAt: "2026-01-01T00:00:00Z" } };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "builder-main-0", namespace: "shop", uid: "pod-1", ...metadata },
    status: {
      phase: "Running",
      podIP: "10.1.2.3",
      initContainerStatuses: [aContainer({ state: running, ready: true, started: true })],
      containerStatuses: [
        aContainer({
          name: "agent",
          image: "registry.example/kiln:v1",
          containerID: "containerd://2",
          state: running,
          ready: true,
          started: true,
        }),
      ],
      ...status,
    },
  };
}

/** BuildKit v0.34.2 answered. */
export const anAnswer: ProbeResult = {
  kind: "answered",
  facts: {
    version: "v0.34.2",
    platforms: ["linux/amd64", "linux/386"],
    labels: { "org.mobyproject.buildkit.worker.executor": "oci" },
    gcPolicy: [
      {
        all: false,
        filters: ["type==source.local"],
        keepDurationSeconds: 172_800,
        maxUsedSpace: 512_000_000,
      },
      { all: true, filters: [], reservedSpace: 1_000 },
    ],
  },
};
