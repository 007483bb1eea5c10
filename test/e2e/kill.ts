// How a container is killed as the kernel would do it: its processes, by SIGKILL, from the machine that is the node.

import { readdirSync, readFileSync } from "node:fs";
import { identify, type ProcessIdentity, signal } from "../cluster/base/identity.ts";
import { cluster } from "./fixture.ts";

/** One container of a pod. */
export interface ContainerAt {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

/** Its id at the runtime, without the scheme; "" while it has none. */
async function idOf({ namespace, pod, container }: ContainerAt): Promise<string> {
  const path = ["initContainerStatuses", "containerStatuses"]
    .map((list) => `{.status.${list}[?(@.name=="${container}")].containerID}`)
    .join("");
  const text = await cluster.kubectl([
    ...["get", "pod", pod, "-n", namespace],
    ...["-o", `jsonpath=${path}`],
  ]);
  return text.replace(/^.*:\/\//, "");
}

/** Processes whose control group is this container's. */
function processesOf(id: string): ProcessIdentity[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isIn(id, name))
    .flatMap((pid) => identify(Number(pid)) ?? []);
}

function isIn(id: string, pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(id);
  } catch {
    return false;
  }
}

/** Kills all processes of a container and resolves when the kubelet has started it anew. */
export async function killContainer(at: ContainerAt): Promise<void> {
  const id = await idOf(at);
  const processes = id === "" ? [] : processesOf(id);
  if (processes.length === 0)
    throw new Error(`${at.pod}/${at.container} has no process on this machine`);
  // A probe may have ended meanwhile, and all end with the first of them.
  for (const one of processes) signal(one, "SIGKILL");
  await cluster.until(`${at.container} of ${at.pod} to be started again`, async () => {
    const now = await idOf(at);
    return now !== "" && now !== id;
  });
}
