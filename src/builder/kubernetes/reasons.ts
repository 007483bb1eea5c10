// Why is a pod of a Builder not running? Reads what the scheduler, the kubelet and the workload's
// controller say, and puts it in one sentence with the next move. Pure.

import type { Pod } from "../../kube/types.ts";
import { oneLine, type Problem } from "../health/problem.ts";
import { agentContainer, stateVolume } from "./agent-container.ts";
import { driverField, nodeOf } from "./groups.ts";
import { type ContainerStatus, kilnContainers } from "./containers.ts";
import type { Workload } from "./workload.ts";

type PodStatus = NonNullable<Pod["status"]>;

/** A Warning Event about a workload, pod or claim. */
export interface Warning {
  /** Kind and name of the object it is about. */
  readonly about: string;
  /** As of Kubernetes: FailedCreate, FailedMount, ProvisioningFailed, … */
  readonly reason: string;
  readonly message: string;
  /** How often it was said. */
  readonly count: number;
}

/** A mount that fails once has only met a node that does not know the Secret or volume yet. */
const mountsAllowed = 1;
/** What the scheduler says when it lost a race against another writer: it tries again at once. */
const lostRace = /Operation cannot be fulfilled/;

const pullReasons = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "RegistryUnavailable",
  "ErrImageNeverPull",
]);
const cannotStart = new Set([
  "CreateContainerError",
  "CreateContainerConfigError",
  "RunContainerError",
  "StartError",
  "ContainerCannotRun",
  "PostStartHookError",
]);

/** Why the pod is not running its buildkitd and its agent; undefined while there is nothing to complain about. */
export function podProblem(pod: Pod, warnings: readonly Warning[] = []): Problem | undefined {
  const name = pod.metadata.name;
  if (pod.metadata.deletionTimestamp !== undefined) {
    return { reason: "Terminating", message: `Pod ${name} is being deleted.` };
  }
  const status = pod.status;
  const field = driverField(nodeOf(pod));
  if (status?.phase === "Failed") return failedPod(name, status);
  const unscheduled = schedulingProblem(name, status, field);
  if (unscheduled !== undefined) return unscheduled;
  const { buildkitd, agent } = kilnContainers(pod);
  const fromContainer =
    containerProblem(name, field, buildkitd) ?? containerProblem(name, field, agent);
  if (fromContainer !== undefined) return fromContainer;
  if (isRunning(buildkitd) && isRunning(agent)) return undefined;
  const itsOwn = new Set([`Pod/${name}`, `PersistentVolumeClaim/${stateVolume}-${name}`]);
  const starting: Problem = { reason: "Starting", message: `Pod ${name} is starting.` };
  const own = warnings.filter(({ about }) => itsOwn.has(about));
  return warningProblem(own, field) ?? starting;
}

/** Why the workload has no pods: what its controller was told by the API server. */
export function workloadProblem(
  workload: Workload,
  warnings: readonly Warning[] = [],
): Problem | undefined {
  const conditions: readonly { type: string; status: string; message?: string }[] =
    workload.status?.conditions ?? [];
  const failure = conditions.find(
    ({ type, status }) => type === "ReplicaFailure" && status === "True",
  );
  const field = driverField(nodeOf(workload));
  if (failure !== undefined) return creationProblem(failure.message ?? "", field);
  const ofPods = ({ about }: Warning): boolean => about.startsWith("Pod/");
  return warningProblem(
    warnings.filter((one) => !ofPods(one)),
    field,
  );
}

function failedPod(name: string, status: PodStatus): Problem {
  const why = status.message ?? status.reason ?? "it gives no reason";
  const message = `Pod ${name} failed and will be replaced: ${oneLine(why)}`;
  return { reason: "ContainerCannotStart", message };
}

function schedulingProblem(
  name: string,
  status: PodStatus | undefined,
  field: string,
): Problem | undefined {
  const scheduled = status?.conditions?.find(({ type }) => type === "PodScheduled");
  if (scheduled?.status !== "False" || lostRace.test(scheduled.message ?? "")) return undefined;
  const said = oneLine(scheduled.message ?? "the scheduler gives no reason");
  if (/PersistentVolumeClaim|persistentvolumeclaim|volume/.test(said)) {
    const message = `Pod ${name} waits for its volume: ${said} Check the storage class and the claims with "kubectl get pvc".`;
    return { reason: "VolumeNotBound", message };
  }
  const message = `Pod ${name} fits no node: ${said} Lower ${field}.resources.requests, change nodeSelector or tolerations, or add a node.`;
  return { reason: "Unschedulable", message };
}

function isRunning(container: ContainerStatus | undefined): boolean {
  return container?.state?.running !== undefined;
}

function containerProblem(
  name: string,
  field: string,
  container: ContainerStatus | undefined,
): Problem | undefined {
  if (container === undefined) return undefined;
  const { state } = container;
  return (
    imageProblem({ name, field }, container, state?.waiting) ??
    endProblem(name, container) ??
    startProblem(name, state?.waiting)
  );
}

type Waiting = NonNullable<NonNullable<ContainerStatus["state"]>["waiting"]>;

function imageProblem(
  { name, field }: { readonly name: string; readonly field: string },
  { name: container, image }: ContainerStatus,
  waiting: Waiting | undefined,
): Problem | undefined {
  const reason = waiting?.reason ?? "";
  const setting =
    container === agentContainer ? "the controller's --agent-image" : `${field}.image`;
  if (reason === "InvalidImageName") {
    const message = `${image} is not an image name: correct ${setting}.`;
    return { reason: "InvalidImageName", message };
  }
  if (!pullReasons.has(reason)) return undefined;
  const said = oneLine(waiting?.message ?? reason);
  const message = `Pod ${name} cannot get the image ${image}: ${said}. Check ${setting} and imagePullSecrets.`;
  return { reason: "ImagePullFailed", message };
}

function endProblem(name: string, container: ContainerStatus): Problem | undefined {
  const { state, lastState } = container;
  const ended = state?.terminated ?? lastState?.terminated;
  if (ended === undefined || state?.running !== undefined) return undefined;
  const reason = ended.reason ?? "";
  return cannotStart.has(reason)
    ? cannotRun(name, ended.message ?? reason)
    : crashed(name, container, ended);
}

function startProblem(name: string, waiting: Waiting | undefined): Problem | undefined {
  const reason = waiting?.reason ?? "";
  return cannotStart.has(reason) ? cannotRun(name, waiting?.message ?? reason) : undefined;
}

function cannotRun(name: string, said: string): Problem {
  return {
    reason: "ContainerCannotStart",
    message: `The container of pod ${name} cannot start: ${oneLine(said)}`,
  };
}

function crashed(
  name: string,
  container: ContainerStatus,
  ended: NonNullable<NonNullable<ContainerStatus["state"]>["terminated"]>,
): Problem {
  const how =
    ended.reason === "OOMKilled" ? "ran out of memory" : `ended with code ${ended.exitCode}`;
  // The end of the log says what went wrong; its beginning is buildkitd saying hello.
  const tail = lastLines(ended.message ?? "", 3);
  const times = `${container.restartCount} ${container.restartCount === 1 ? "restart" : "restarts"}`;
  const message = `${container.name} in pod ${name} ${how} (${times})${tail === "" ? "." : `: ${tail}`}`;
  return { reason: "CrashLooping", message };
}

function warningProblem(warnings: readonly Warning[], field: string): Problem | undefined {
  for (const { about, reason, message, count } of warnings) {
    const said = oneLine(message);
    switch (reason) {
      case "FailedCreate":
        return creationProblem(message, field);
      case "FailedMount":
      case "FailedAttachVolume":
      case "FailedMapVolume":
        if (count <= mountsAllowed) break;
        return { reason: "MountFailed", message: `${about} waits for a volume: ${said}` };
      case "ProvisioningFailed":
        return { reason: "VolumeNotBound", message: `${about} got no volume: ${said}` };
      case "FailedCreatePodSandBox":
        return { reason: "ContainerCannotStart", message: `${about} cannot start: ${said}` };
      default:
    }
  }
  return undefined;
}

function creationProblem(said: string, field: string): Problem {
  const line = oneLine(said);
  if (/exceeded quota|must specify (limits|requests)|must specify .*for: /.test(said)) {
    const message = `The namespace's quota does not allow the pods: ${line} Raise the quota or change ${field}.resources.`;
    return { reason: "QuotaExceeded", message };
  }
  if (/violates PodSecurity/.test(said)) {
    const message = `The namespace's Pod Security level forbids the pods: ${line} See docs/builder-security.md for the level that each security mode needs.`;
    return { reason: "AdmissionDenied", message };
  }
  if (/forbidden|denied|admission/i.test(said)) {
    return { reason: "AdmissionDenied", message: `The API server refuses the pods: ${line}` };
  }
  return { reason: "CreateFailed", message: `The pods cannot be created: ${line}` };
}

function lastLines(text: string, count: number): string {
  const lines = text.trim().split("\n");
  return oneLine(withoutStack(lines).slice(-count).join(" | "), 500);
}

/** A Go program that ends prints where it was, two lines for each call: a function, and a place behind a tab. */
function withoutStack(lines: readonly string[]): readonly string[] {
  const isPlace = (line: string | undefined): boolean => /^\t\S+\.(go|s):\d+/.test(line ?? "");
  return lines.filter((line, index) => !isPlace(line) && !isPlace(lines[index + 1]));
}
