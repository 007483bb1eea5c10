// What `kiln controller` may be told, read once at start into one frozen value.

import { hostname } from "node:os";
import type { LogLevel } from "./log-level.ts";
import { version } from "./version.ts";

/** Everything that differs between two installations of the controller. */
export interface ControllerConfig {
  /** Path of a kubeconfig file; undefined inside a pod, where the service account is used. */
  readonly kubeconfig: string | undefined;
  /** Kiln's own namespace: the Lease, the CA Secret and the pods of ClusterBuilders live here. */
  readonly namespace: string;
  /** Name of this process in the Lease and in Events. Unique per process. */
  readonly identity: string;
  /** Whether to compete for the Lease. Off only where one process is certain to be alone. */
  readonly leaderElect: boolean;
  /** buildkitd image of `security: Privileged`. */
  readonly buildkitImage: string;
  /** buildkitd image of `security: Rootless`. */
  readonly buildkitRootlessImage: string;
  /** Image of the agent beside each buildkitd: Kiln's own, of this controller's version. */
  readonly agentImage: string;
  /** Path of the buildkitd.toml for managed Builders that bring no `spec.buildkitd.config`. */
  readonly buildkitdConfig: string | undefined;
  /** Whether Builders may use sockets in this container too, and not ClusterBuilders only. */
  readonly namespacedSockets: boolean;
  /** Address of `/healthz`, `/readyz` and `/metrics`, `host:port`; port 0 takes a free one. */
  readonly probeAddress: string;
  readonly logLevel: LogLevel;
  /** Reconciles of BuildRuns and of Builders that may be under way at once, each. */
  readonly concurrency: number;
  /** How long a SIGTERM waits for reconciles in flight, in milliseconds. */
  readonly shutdownGraceMs: number;
}

/** What each option is when nobody says; `identity` and `namespace` come from the pod's environment. */
export function defaultConfig(env: NodeJS.ProcessEnv): ControllerConfig {
  return Object.freeze({
    kubeconfig: env["KUBECONFIG"],
    namespace: env["POD_NAMESPACE"] ?? "kiln-system",
    identity: env["POD_NAME"] ?? `${hostname()}-${process.pid}`,
    leaderElect: true,
    buildkitImage: "docker.io/moby/buildkit:v0.34.2",
    buildkitRootlessImage: "docker.io/moby/buildkit:v0.34.2-rootless",
    agentImage: `docker.io/library/kiln:${version}`,
    buildkitdConfig: undefined,
    namespacedSockets: false,
    probeAddress: "0.0.0.0:8080",
    logLevel: "info" as const,
    concurrency: 16,
    shutdownGraceMs: 20_000,
  });
}
