// How is each instance of a Builder? Puts together what Kubernetes and BuildKit say about it. The one
// judgement of "ready", for status and for placement alike. Pure.

import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import type { Pod } from "../../kube/types.ts";
import { groupOf } from "../kubernetes/groups.ts";
import { podProblem, type Warning } from "../kubernetes/reasons.ts";
import { kilnContainers } from "../kubernetes/containers.ts";
import { drainOf, drainText } from "../lifecycle/drain-mark.ts";
import type { ContainerResult } from "../docker/keeper.ts";
import type { External } from "../reconcile/externals.ts";
import type { EngineFeatures } from "../instance.ts";
import { agentPort } from "../names.ts";
import type { DaemonFacts, ProbeResult } from "./probe.ts";
import type { Problem } from "./problem.ts";

/** One instance as Kiln sees it now. */
export interface InstanceFacts {
  readonly id: string;
  /** Default: Kubernetes. */
  readonly driver?: External["driver"]["kind"];
  /** Entry of spec.nodes that its pod is of. */
  readonly node?: string;
  /** Runs at once, where that is not what the Builder says. */
  readonly slots?: number;
  /** Those that it is used for, whatever BuildKit says. */
  readonly fixedPlatforms?: readonly string[];
  /** Absent while it has none. */
  readonly address?: string;
  /** It takes runs. */
  readonly ready: boolean;
  readonly terminating: boolean;
  /** Its pod is of an older template. Not told by who does not know the newest. */
  readonly outdated?: boolean;
  /** BuildKit answers, whether or not the instance takes runs. */
  readonly answers: boolean;
  /** Its agent takes no job any more. */
  readonly fenced: boolean;
  /** It takes no new run, by a decision of Kiln's that is written on its pod. */
  readonly draining?: Drain;
  /** Why it is not ready. */
  readonly problem?: Problem;
  /** What BuildKit last said about itself. */
  readonly daemon?: DaemonFacts;
}

type Drain = NonNullable<ReturnType<typeof drainOf>>;

/** A pod whose agent runs and can be dialled. */
export interface RunningPod {
  readonly host: string;
  readonly address: string;
  /** Another container or address makes it another daemon. */
  readonly identity: string;
  /** The kubelet's probe finds it ready. */
  readonly isReported: boolean;
}

/** Where the pod's agent is; undefined while there is nothing to dial. */
export function runningPod(pod: Pod): RunningPod | undefined {
  const host = pod.status?.podIP;
  const { buildkitd, agent } = kilnContainers(pod);
  if (host === undefined || host === "" || agent?.state?.running === undefined) return undefined;
  const identity = [pod.metadata.uid, host, buildkitd?.containerID, agent.containerID].join(" ");
  const text = host.includes(":") ? `[${host}]` : host;
  const isReported = agent.ready === true;
  return { host, address: `tcp://${text}:${agentPort}`, identity, isReported };
}

/** The instance in a pod. A pod that BuildKit answers from is ready, whatever the kubelet's next probe will say. */
export function podInstance(
  pod: Pod,
  answer: ProbeResult | undefined,
  warnings: readonly Warning[] = [],
): InstanceFacts {
  const id = pod.metadata.name;
  const running = runningPod(pod);
  const trouble = troubleOf(pod, answer, warnings);
  const draining = drainOf(pod);
  const problem: Problem | undefined =
    trouble ?? (draining && { reason: "Draining", message: drainText(id, draining.why) });
  return {
    id,
    ready: problem === undefined && running !== undefined,
    terminating: pod.metadata.deletionTimestamp !== undefined,
    answers: running !== undefined && (trouble === undefined || isUp(trouble)),
    fenced: trouble?.reason === "Draining",
    ...(draining === undefined ? {} : { draining }),
    ...(running === undefined ? {} : { address: running.address }),
    ...(problem === undefined ? {} : { problem }),
    ...daemonOf(running === undefined || !hasDaemon(pod) ? undefined : answer),
  };
}

/** The instance in a pod, with what the spec says of pods of its kind. */
export function memberInstance(
  spec: Pick<BuilderSpec, "kubernetes" | "nodes">,
  pod: Pod,
  answer: ProbeResult | undefined,
  warnings: readonly Warning[] = [],
): InstanceFacts {
  const { node, driver, platforms } = groupOf(pod, spec) ?? {};
  return {
    ...podInstance(pod, answer, warnings),
    ...(node === undefined ? {} : { node }),
    ...(driver?.isolation === "PerRun" ? { slots: 1 } : {}),
    ...(platforms === undefined ? {} : { fixedPlatforms: platforms }),
  };
}

/** What the cluster and the daemon have to complain about. */
function troubleOf(
  pod: Pod,
  answer: ProbeResult | undefined,
  warnings: readonly Warning[],
): Problem | undefined {
  const message = `BuildKit in pod ${pod.metadata.name} is starting.`;
  const starting: Problem = { reason: "Starting", message };
  const ofCluster = podProblem(pod, warnings);
  if (ofCluster !== undefined) return ofCluster;
  const ofDaemon = problemOf(answer, message);
  // A daemon that has not begun to listen refuses: no reason to worry before its startup probe has passed.
  return ofDaemon !== undefined && !hasStarted(pod) && mayPass(ofDaemon) ? starting : ofDaemon;
}

/** A daemon that is no pod of Kiln's. `kept` is how its container is, when Kiln makes it. */
export function externalFacts(
  { id, address, driver, platforms }: External,
  answer: ProbeResult | undefined,
  kept: ContainerResult | undefined,
): InstanceFacts {
  const isKept = driver.kind === "DockerContainer";
  const ofContainer = isKept
    ? (kept ?? { problem: starting(`The Docker engine at ${driver.value.endpoint}`) }).problem
    : undefined;
  const problem = ofContainer ?? problemOf(answer, `BuildKit at ${address} was not asked yet.`);
  return {
    id,
    driver: driver.kind,
    address,
    ready: problem === undefined,
    terminating: false,
    answers: problem === undefined,
    fenced: false,
    ...(problem === undefined ? {} : { problem }),
    ...(platforms === undefined ? {} : { fixedPlatforms: platforms }),
    ...daemonOf(answer),
  };
}

/** What a daemon says that answers. */
function isUp({ reason }: Problem): boolean {
  return reason === "Draining" || reason === "DiskPressure";
}

function starting(what: string): Problem {
  return { reason: "Starting", message: `${what} was not asked yet.` };
}

/** What an instance is used for: what its node names, else what BuildKit says. */
export function platformsOf({ fixedPlatforms, daemon }: InstanceFacts): readonly string[] {
  return fixedPlatforms ?? daemon?.platforms ?? [];
}

/** What the BuildKit inside a Docker engine can do, by the labels of its worker; undefined for any other. */
export function engineFeatures({ driver, daemon }: InstanceFacts): EngineFeatures | undefined {
  if (driver !== "Docker") return undefined;
  const labels = daemon?.labels ?? {};
  const hostGateway = labels["org.mobyproject.buildkit.worker.moby.host-gateway-ip"];
  return {
    containerdStore: labels["org.mobyproject.buildkit.worker.snapshotter"] !== undefined,
    ...(hostGateway === undefined ? {} : { hostGateway }),
  };
}

function hasDaemon(pod: Pod): boolean {
  return kilnContainers(pod).buildkitd?.state?.running !== undefined;
}

function hasStarted(pod: Pod): boolean {
  return kilnContainers(pod).agent?.started === true;
}

function mayPass({ reason }: Problem): boolean {
  return reason === "ConnectionRefused" || reason === "ConnectionLost" || reason === "NotAnswering";
}

function problemOf(answer: ProbeResult | undefined, unasked: string): Problem | undefined {
  if (answer === undefined) return { reason: "Starting", message: unasked };
  return answer.problem;
}

function daemonOf(answer: ProbeResult | undefined): { daemon?: DaemonFacts } {
  return answer?.facts === undefined ? {} : { daemon: answer.facts };
}
