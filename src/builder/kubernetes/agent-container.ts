// The agent beside buildkitd: its container, what it shares with the daemon, and how long it may let builds end. Pure.

import type { Pod } from "../../kube/types.ts";
import { durationMs } from "../../api/schema.ts";
import { agentPort, serverTlsSecret } from "../names.ts";
import type { KubernetesDriver, RenderInput } from "./input.ts";
import type { SecurityMode } from "./security.ts";

type PodSpec = NonNullable<Pod["spec"]>;
type Container = PodSpec["containers"][number];
type Volume = NonNullable<PodSpec["volumes"]>[number];
type Mount = NonNullable<Container["volumeMounts"]>[number];
type Probe = NonNullable<Container["readinessProbe"]>;

/** Name of the container that runs the daemon: an init container that stays, so it ends after the agent. */
export const buildkitdContainer = "buildkitd";
/** Name of the container that runs `kiln agent`. */
export const agentContainer = "agent";
/** Name of the state volume: an emptyDir, or the claim of a StatefulSet's replica. */
export const stateVolume = "state";

const socketVolume = "buildkit-socket";
const dataVolume = "agent-data";
const cachesVolume = "local-caches";
const cachesPath = "/var/lib/kiln-caches";
const tlsPath = "/etc/kiln/tls";
const dataPath = "/var/lib/kiln";
const statePath = "/var/lib/buildkit-state";
const probePort = 8080;
/** The image's own user, where buildkitd is root; the socket is then its group's. */
const kilnUser = 65532;

/** Seconds for each part of a pod's end. */
export interface Grace {
  /** Of the agent: running builds, and the controller that fetches what came out. */
  readonly agent: number;
  /** Of the pod: after the agent, buildkitd unmounts its snapshots. */
  readonly pod: number;
}

/** How long a pod that is told to end takes at most. */
export function graceOf({ drainTimeout }: Pick<KubernetesDriver, "drainTimeout">): Grace {
  const drain = Math.ceil(durationMs(drainTimeout) / 1000);
  return { agent: drain + 10, pod: drain + 30 };
}

/**
 * The kernel drops a SIGTERM to process 1 that has no handler yet, and a pod that is told to end in the moment when its
 * container starts would stay for its whole grace period: so the signal comes a second later. Kubernetes ≥ 1.30.
 */
export const lateSignal: NonNullable<Container["lifecycle"]> = {
  preStop: { sleep: { seconds: 1 } },
};

/** The folder of the daemon's socket, shared by both containers. */
export function socketMount({ socket }: SecurityMode): Mount {
  const path = socket.replace(/^unix:\/\//, "");
  return { name: socketVolume, mountPath: path.slice(0, path.lastIndexOf("/")) };
}

/** The volumes of the agent, and of what it shares. */
export function agentVolumes({ localCaches }: Pick<KubernetesDriver, "localCaches">): Volume[] {
  return [
    ...(localCaches === undefined ? [] : [cachesVolumeOf(localCaches)]),
    { name: socketVolume, emptyDir: {} },
    { name: dataVolume, emptyDir: { sizeLimit: "512Mi" } },
    { name: "tls", secret: { secretName: serverTlsSecret, defaultMode: 0o440 } },
  ];
}

function cachesVolumeOf({ claimName, size }: NonNullable<KubernetesDriver["localCaches"]>): Volume {
  if (claimName !== undefined)
    return { name: cachesVolume, persistentVolumeClaim: { claimName } } as Volume;
  return { name: cachesVolume, emptyDir: size === undefined ? {} : { sizeLimit: String(size) } };
}

/** The container. It needs no right but to read its certificate and to speak to the socket. */
export function agent(input: RenderInput, mode: SecurityMode): Container {
  return {
    name: agentContainer,
    image: input.images.agent,
    imagePullPolicy: "IfNotPresent",
    args: [
      "agent",
      `--buildkitd=${mode.socket}`,
      `--address=0.0.0.0:${agentPort}`,
      `--tls=${tlsPath}`,
      `--data=${dataPath}/jobs`,
      `--volume=${statePath}`,
      ...(input.driver.localCaches === undefined ? [] : [`--caches=${cachesPath}`]),
      `--probe-address=0.0.0.0:${probePort}`,
      `--grace=${graceOf(input.driver).agent}`,
    ],
    // The root file system is read-only; Node keeps compiled code for the next start.
    env: [{ name: "NODE_COMPILE_CACHE", value: `${dataPath}/code` }],
    ports: [
      { name: "agent", containerPort: agentPort, protocol: "TCP" },
      { name: "probes", containerPort: probePort, protocol: "TCP" },
    ],
    resources: resources(input.driver),
    securityContext: {
      ...userOf(mode),
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
      seccompProfile: { type: "RuntimeDefault" },
    },
    volumeMounts: [
      socketMount(mode),
      { name: dataVolume, mountPath: dataPath },
      ...(input.driver.localCaches === undefined
        ? []
        : [{ name: cachesVolume, mountPath: cachesPath }]),
      { name: "tls", mountPath: tlsPath, readOnly: true },
      { name: stateVolume, mountPath: statePath, readOnly: true },
    ],
    ...probes(input.driver),
    lifecycle: lateSignal,
    terminationMessagePolicy: "FallbackToLogsOnError",
  } as Container;
}

/** buildkitd makes its socket for its own user and group only. */
function userOf({ container }: SecurityMode): { runAsUser: number; runAsGroup: number } {
  const { runAsUser = 0, runAsGroup = 0 } = container;
  return { runAsUser: runAsUser === 0 ? kilnUser : runAsUser, runAsGroup };
}

/** Quotas that limit what a person limits for buildkitd want it of every container. What is said of the agent holds. */
function resources({ resources: asked, agentResources }: KubernetesDriver): Container["resources"] {
  const limits = asked?.limits ?? {};
  return {
    requests: {
      cpu: "50m",
      memory: "128Mi",
      ...("ephemeral-storage" in (asked?.requests ?? {}) && { "ephemeral-storage": "64Mi" }),
      ...agentResources?.requests,
    },
    limits: {
      ...("cpu" in limits && { cpu: "1" }),
      memory: "512Mi",
      ...("ephemeral-storage" in limits && { "ephemeral-storage": "1Gi" }),
      ...agentResources?.limits,
    },
  };
}

/**
 * Ready says that the daemon answers, too: no second probe runs a program in buildkitd's container for it. Startup looks
 * every second, so that a pod is Ready within a second or two of BuildKit answering.
 */
function probes({
  startupTimeout,
}: KubernetesDriver): Pick<Container, "startupProbe" | "readinessProbe" | "livenessProbe"> {
  const probe = (path: string, periodSeconds: number, failureThreshold: number): Probe => ({
    httpGet: { path, port: "probes" as never },
    periodSeconds,
    timeoutSeconds: 5,
    failureThreshold,
  });
  return {
    startupProbe: probe("/readyz", 1, Math.ceil(durationMs(startupTimeout) / 1000)),
    readinessProbe: probe("/readyz", 2, 3),
    livenessProbe: probe("/healthz", 10, 6),
  };
}
