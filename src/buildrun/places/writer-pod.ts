// The pod that writes a run's outputs onto PersistentVolumeClaims, and the Secret with its identity. Pure.

import type { BuildRun } from "../../api/v1alpha1/index.ts";
import { apiVersion } from "../../api/kinds.ts";
import { durationMs } from "../../api/schema.ts";
import type { Pod, Secret } from "../../kube/types.ts";
import { claimNames, claimOutputs } from "./of-output.ts";

/** Label of the pod, with the name of its run. */
export const writerLabel = "kiln.build/output-writer";
/** Where the pod is called. */
export const writerPort = 8443;

/** The image's own user, and the group that a volume is given to. */
const kilnUser = 65532;
const tlsPath = "/etc/kiln/tls";
/** An agent that holds the attempt may still be busy when the run is out of time. */
const graceSeconds = 600;

/** The name of the pod and of its Secret. */
export function writerName(ref: string): string {
  return `kiln-output-${ref}`;
}

function metadata({ metadata: { namespace = "", name, uid = "" } }: BuildRun, ref: string) {
  return {
    name: writerName(ref),
    namespace,
    labels: { [writerLabel]: name },
    ownerReferences: [{ apiVersion, kind: "BuildRun", name, uid, controller: true }],
  };
}

/** PEM texts: the pod's own identity, and who signed that of the one that may call. */
export interface WriterTls {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** The Secret with the pod's identity. */
export function writerSecret(run: BuildRun, ref: string, tls: WriterTls): Secret {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: metadata(run, ref),
    type: "kubernetes.io/tls",
    stringData: { "ca.crt": tls.ca, "tls.crt": tls.certificate, "tls.key": tls.key },
  } as Secret;
}

type PodSpec = NonNullable<Pod["spec"]>;

/** The pod. It has no token, sees only the claims, and fits the Pod Security level "restricted". */
export function writerPod(run: BuildRun, ref: string, image: string): Pod {
  const claims = claimNames(run);
  const spec: Partial<PodSpec> = {
    restartPolicy: "Never",
    // Its imagePullSecrets are what counts; the pod speaks to no API server.
    serviceAccountName: run.spec.serviceAccountName,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    activeDeadlineSeconds: Math.ceil(durationMs(run.spec.timeout) / 1000) + graceSeconds,
    terminationGracePeriodSeconds: 10,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: kilnUser,
      runAsGroup: kilnUser,
      fsGroup: kilnUser,
      fsGroupChangePolicy: "OnRootMismatch",
      seccompProfile: { type: "RuntimeDefault" },
    },
    containers: [{ ...container(claims), image, args: argsOf(run, ref, claims) }],
    volumes: [
      { name: "tls", secret: { secretName: writerName(ref), defaultMode: 0o440 } },
      ...claims.map((claimName, at) => ({
        name: `claim-${at}`,
        persistentVolumeClaim: { claimName },
      })),
    ],
  };
  return { apiVersion: "v1", kind: "Pod", metadata: metadata(run, ref), spec } as Pod;
}

function mountOf(at: number): string {
  return `/claims/${at}`;
}

function argsOf(run: BuildRun, ref: string, claims: readonly string[]): string[] {
  const outputs = claimOutputs(run).map(({ index, claimName, path, single }) => {
    return [index, { root: mountOf(claims.indexOf(claimName)), path, single }] as const;
  });
  return [
    "receive",
    `--address=0.0.0.0:${writerPort}`,
    `--tls=${tlsPath}`,
    `--ref=${ref}`,
    `--outputs=${JSON.stringify(Object.fromEntries(outputs))}`,
  ];
}

function container(claims: readonly string[]): PodSpec["containers"][number] {
  return {
    name: "receive",
    imagePullPolicy: "IfNotPresent",
    ports: [{ name: "receive", containerPort: writerPort, protocol: "TCP" }],
    readinessProbe: { tcpSocket: { port: "receive" as never }, periodSeconds: 1 },
    resources: {
      requests: { cpu: "50m", memory: "64Mi" },
      limits: { cpu: "2", memory: "256Mi" },
    },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    volumeMounts: [
      { name: "tls", mountPath: tlsPath, readOnly: true },
      ...claims.map((_, at) => ({ name: `claim-${at}`, mountPath: mountOf(at) })),
    ],
    terminationMessagePolicy: "FallbackToLogsOnError",
  };
}

/** `address:port` of a pod that is Ready; undefined for another. */
export function addressOf({ status }: Pod): string | undefined {
  const isReady = (status?.conditions ?? []).some(
    (condition) => condition.type === "Ready" && condition.status === "True",
  );
  const ip = status?.podIP;
  if (!isReady || ip === undefined) return undefined;
  return `${ip.includes(":") ? `[${ip}]` : ip}:${writerPort}`;
}

/** What keeps the pod from being Ready, in Kubernetes' words. */
export function hindrance({ status = {} }: Pod): string {
  const says = [
    ...(status.containerStatuses ?? []).map(({ state }) => state?.terminated?.message),
    ...(status.containerStatuses ?? []).map(({ state }) => state?.waiting?.message),
    ...(status.conditions ?? []).map((one) => (one.status === "True" ? undefined : one.message)),
    ...(status.containerStatuses ?? []).map(({ state }) => state?.waiting?.reason),
    status.phase,
  ];
  const first = says.find((text) => text !== undefined && text !== "");
  return (first ?? "it was not seen by the scheduler yet").slice(0, 500);
}
