// What does a pod of a Builder look like? Unmodified buildkitd on a unix socket, and Kiln's agent beside it, which takes
// only clients with a certificate of Kiln's. Pure.

import type { Pod } from "../../kube/types.ts";
import {
  configAnnotation,
  contentAnnotation,
  selectorLabels,
  templateHashAnnotation,
} from "../names.ts";
import { additions, configDirectory, type Addition } from "./additions.ts";
import { agent, buildkitdContainer, graceOf, lateSignal } from "./agent-container.ts";
import { contentHash } from "./hash.ts";
import { labelsOf, type RenderInput } from "./input.ts";
import { guardPatch, placed, strategicMerge } from "./patch.ts";
import { securityMode, type SecurityMode } from "./security.ts";

type PodSpec = NonNullable<Pod["spec"]>;
type Container = PodSpec["containers"][number];
type Probe = NonNullable<Container["livenessProbe"]>;

/** `spec.template` of the workload, and what was hashed into its annotation. */
export interface PodTemplate {
  readonly metadata: {
    readonly labels: Record<string, string>;
    readonly annotations: Record<string, string>;
  };
  readonly spec: PodSpec;
}

/**
 * The pod template with its own hash in `templateHashAnnotation`. Throws `PatchError` for a
 * `podTemplatePatch` that cannot be applied.
 */
export function podTemplate(input: RenderInput): PodTemplate {
  const { labels, annotations, spec } = patched(input, unpatchedTemplate(input));
  const hash = contentHash({ labels, annotations, spec });
  return {
    metadata: { labels, annotations: { ...annotations, [templateHashAnnotation]: hash } },
    spec,
  };
}

interface Template {
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
  readonly spec: PodSpec;
}

function unpatchedTemplate(input: RenderInput): Template {
  const { driver, config, contentFingerprint } = input;
  const mode = securityMode(driver, input.images);
  return {
    labels: labelsOf(input),
    annotations: {
      ...driver.annotations,
      ...(config === undefined ? {} : { [configAnnotation]: config }),
      ...(contentFingerprint === undefined ? {} : { [contentAnnotation]: contentFingerprint }),
    },
    spec: podSpec(input, mode, additions(input, mode)),
  };
}

/** What a person patches wins, but for the marks by which Kiln finds and compares its pods. */
function patched({ driver }: RenderInput, template: Template): Template {
  if (driver.podTemplatePatch === undefined) return template;
  const { labels, annotations, spec } = template;
  guardPatch(driver.podTemplatePatch, buildkitdContainer);
  const init = (spec.initContainers ?? []).map(({ name }) => name);
  const result = strategicMerge(
    { metadata: { labels, annotations }, spec },
    placed(driver.podTemplatePatch, init),
  );
  return {
    labels: { ...result.metadata.labels, ...ours(labels) },
    annotations: { ...result.metadata.annotations, ...ours(annotations) },
    spec: result.spec,
  };
}

function ours(marks: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(marks).filter(
      ([key]) => key.startsWith("kiln.build/") || key.startsWith("app.kubernetes.io/"),
    ),
  );
}

function podSpec(input: RenderInput, mode: SecurityMode, parts: readonly Addition[]): PodSpec {
  const { driver } = input;
  const spreads = driver.topologySpreadConstraints.map((spread) => ({
    ...spread,
    labelSelector: { matchLabels: selectorLabels(input.ref, input.node) },
  }));
  return dropUndefined<PodSpec>({
    initContainers: [
      ...parts.flatMap(({ initContainers = [] }) => initContainers),
      // One that stays: Kubernetes starts it first and ends it last, so no build loses its daemon before its agent.
      { ...buildkitd(input, mode, parts), restartPolicy: "Always" },
    ],
    containers: [agent(input, mode)],
    volumes: parts.flatMap(({ volumes = [] }) => volumes),
    hostUsers: mode.hostUsers,
    securityContext: mode.pod,
    serviceAccountName: driver.serviceAccountName,
    automountServiceAccountToken: driver.automountServiceAccountToken,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: graceOf(driver).pod,
    imagePullSecrets: driver.imagePullSecrets?.map(({ name }) => ({ name })),
    nodeSelector: driver.nodeSelector,
    affinity: driver.affinity as PodSpec["affinity"],
    topologySpreadConstraints: nonEmpty(spreads) as PodSpec["topologySpreadConstraints"],
    tolerations: driver.tolerations as PodSpec["tolerations"],
    priorityClassName: driver.priorityClassName,
    runtimeClassName: driver.runtimeClassName,
    schedulerName: driver.schedulerName,
  });
}

function buildkitd(input: RenderInput, mode: SecurityMode, parts: readonly Addition[]): Container {
  const { driver, config } = input;
  return dropUndefined<Container>({
    name: buildkitdContainer,
    image: driver.image ?? mode.image,
    imagePullPolicy: driver.imagePullPolicy,
    args: [
      ...(config === undefined ? [] : [`--config=${configDirectory}/buildkitd.toml`]),
      // Flags win over the file: whatever [grpc] says there, the agent finds the daemon, and nobody else does.
      `--addr=${mode.socket}`,
      ...mode.args,
    ],
    env: nonEmpty(lastByName(parts.flatMap(({ env = [] }) => env))),
    resources: driver.resources as Container["resources"],
    securityContext: mode.container,
    volumeMounts: parts.flatMap(({ mounts = [] }) => mounts),
    livenessProbe: livenessProbe(mode),
    lifecycle: lateSignal,
    // The last lines of a daemon that crashes are then in the pod's status: Kiln needs no right to read logs.
    terminationMessagePolicy: "FallbackToLogsOnError",
  });
}

/** A list may name a variable once; the later one wins. */
function lastByName<T extends { readonly name: string }>(list: readonly T[]): T[] {
  return [...new Map(list.map((one) => [one.name, one])).values()];
}

function nonEmpty<T>(list: T[]): T[] | undefined {
  return list.length === 0 ? undefined : list;
}

/** Gives up only after minutes: a daemon that unpacks large layers on a full machine is slow, not dead. */
function livenessProbe({ socket }: SecurityMode): Probe {
  const exec = { command: ["buildctl", "--addr", socket, "debug", "workers"] };
  return { exec, periodSeconds: 30, timeoutSeconds: 60, failureThreshold: 5 };
}

/** JSON has no `undefined`: such members would differ between what was sent and what was hashed. */
function dropUndefined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined),
  ) as T;
}
