// What does a pod of a Builder look like? Unmodified buildkitd with a unix socket for probes and a
// TCP port that takes only clients with a certificate of Kiln's. Pure.

import type { Pod } from "../../kube/types.ts";
import {
  buildkitPort,
  configAnnotation,
  objectLabels,
  selectorLabels,
  serverTlsSecret,
  tlsAnnotation,
} from "../names.ts";
import { contentHash } from "./hash.ts";
import type { RenderInput } from "./input.ts";
import { securityMode, type SecurityMode } from "./security.ts";
import { templateHashAnnotation } from "../names.ts";

type PodSpec = NonNullable<Pod["spec"]>;
type Container = PodSpec["containers"][number];
type Volume = NonNullable<PodSpec["volumes"]>[number];
type Mount = NonNullable<Container["volumeMounts"]>[number];
type Probe = NonNullable<Container["readinessProbe"]>;

/** `spec.template` of the workload, and what was hashed into its annotation. */
export interface PodTemplate {
  readonly metadata: {
    readonly labels: Record<string, string>;
    readonly annotations: Record<string, string>;
  };
  readonly spec: PodSpec;
}

/** Name of the state volume: an emptyDir, or the claim of a StatefulSet's replica. */
export const stateVolume = "state";

const tlsPath = "/etc/kiln/tls";
const configDirectory = "/etc/kiln/buildkit";

/** The pod template with its own hash in `templateHashAnnotation`. */
export function podTemplate(input: RenderInput): PodTemplate {
  const { driver, config } = input;
  const mode = securityMode(driver, input.images);
  const spec = podSpec(input, mode);
  const annotations = {
    ...driver.annotations,
    [tlsAnnotation]: input.tlsFingerprint,
    ...(config === undefined ? {} : { [configAnnotation]: config }),
  };
  const labels = { ...driver.labels, ...objectLabels(input.ref), ...selectorLabels(input.ref) };
  const hash = contentHash({ labels, annotations, spec });
  return {
    metadata: { labels, annotations: { ...annotations, [templateHashAnnotation]: hash } },
    spec,
  };
}

function podSpec(input: RenderInput, mode: SecurityMode): PodSpec {
  const { driver } = input;
  return dropUndefined<PodSpec>({
    containers: [buildkitd(input, mode)],
    volumes: volumes(input),
    securityContext: mode.pod,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    // SIGTERM makes buildkitd cancel its builds at once; the rest is for unmounting snapshots.
    terminationGracePeriodSeconds: 30,
    imagePullSecrets: driver.imagePullSecrets?.map(({ name }) => ({ name })),
    nodeSelector: driver.nodeSelector,
    tolerations: driver.tolerations as PodSpec["tolerations"],
    priorityClassName: driver.priorityClassName,
    runtimeClassName: driver.runtimeClassName,
  });
}

function buildkitd(input: RenderInput, mode: SecurityMode): Container {
  const { driver, config } = input;
  return dropUndefined<Container>({
    name: "buildkitd",
    image: driver.image ?? mode.image,
    imagePullPolicy: driver.imagePullPolicy,
    args: [
      ...(config === undefined ? [] : [`--config=${configDirectory}/buildkitd.toml`]),
      // Flags win over the file: whatever [grpc] says there, Kiln and the probes find the daemon.
      `--addr=${mode.socket}`,
      `--addr=tcp://0.0.0.0:${buildkitPort}`,
      `--tlscacert=${tlsPath}/ca.crt`,
      `--tlscert=${tlsPath}/tls.crt`,
      `--tlskey=${tlsPath}/tls.key`,
      ...mode.args,
    ],
    ports: [{ name: "buildkit", containerPort: buildkitPort, protocol: "TCP" }],
    resources: driver.resources as Container["resources"],
    securityContext: mode.container,
    volumeMounts: mounts(input, mode),
    ...probes(mode),
    // The last lines of a daemon that crashes are then in the pod's status: Kiln needs no right to read logs.
    terminationMessagePolicy: "FallbackToLogsOnError",
  });
}

/**
 * All three ask the daemon for its workers over the unix socket. Startup looks every second, so that a
 * pod is Ready within a second or two of BuildKit answering. Liveness gives up only after minutes: a
 * daemon that unpacks large layers on a full machine is slow, not dead.
 */
function probes(
  mode: SecurityMode,
): Pick<Container, "startupProbe" | "readinessProbe" | "livenessProbe"> {
  const exec = { command: ["buildctl", "--addr", mode.socket, "debug", "workers"] };
  const probe = (
    periodSeconds: number,
    timeoutSeconds: number,
    failureThreshold: number,
  ): Probe => ({
    exec,
    periodSeconds,
    timeoutSeconds,
    failureThreshold,
  });
  return {
    startupProbe: probe(1, 10, 120),
    readinessProbe: probe(2, 10, 3),
    livenessProbe: probe(30, 60, 5),
  };
}

function mounts(input: RenderInput, mode: SecurityMode): Mount[] {
  return [
    { name: stateVolume, mountPath: mode.statePath },
    { name: "tls", mountPath: tlsPath, readOnly: true },
    ...(input.config === undefined
      ? []
      : [{ name: "config", mountPath: configDirectory, readOnly: true }]),
  ];
}

function volumes(input: RenderInput): Volume[] {
  return [
    ...(input.driver.storage === undefined ? [{ name: stateVolume, emptyDir: {} }] : []),
    { name: "tls", secret: { secretName: serverTlsSecret, defaultMode: 0o440 } },
    ...(input.config === undefined ? [] : [configVolume()]),
  ];
}

/** The config travels in the pod itself, so it rolls with the template and nobody can edit it apart from it. */
function configVolume(): Volume {
  const fieldPath = `metadata.annotations['${configAnnotation}']`;
  return {
    name: "config",
    downwardAPI: { items: [{ path: "buildkitd.toml", fieldRef: { fieldPath } }] },
  };
}

/** JSON has no `undefined`: such members would differ between what was sent and what was hashed. */
function dropUndefined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined),
  ) as T;
}
