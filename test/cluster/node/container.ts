// What is "the node"? A set of namespaces (pid, mount, network) whose first process only waits.
// Everything that kubelet and containerd start or mount lives inside: when the first process is
// killed, the kernel ends and undoes all of it.
import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import path from "node:path";
import { childrenOf, identify } from "../base/identity.ts";
import { type RunningProcess, start, waitFor } from "../base/process.ts";

const readyMs = 10_000;

/** Folders that Kubernetes' programs use by fixed names; each is a folder of the state in the node. */
const fixedFolders = [
  "/var/lib/kubelet",
  "/var/lib/cni",
  "/var/log/pods",
  "/var/log/containers",
  "/opt/containerd",
  "/opt/nri",
];

/** A running node without anything in it yet. */
export interface NodeNamespaces {
  /** Its first process, by the machine's numbers. */
  readonly pid: number;
  readonly process: RunningProcess;
  /** Starts a program inside that lives on when this tool ends. */
  run(
    name: string,
    command: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<RunningProcess>;
  /** A command line that runs a program inside. */
  inside(command: readonly string[]): [string, ...string[]];
}

/** Gives the command line that runs a program in the namespaces of a process. */
export function enter(pid: number): NodeNamespaces["inside"] {
  const flags = ["-t", String(pid), "--mount", "--net", "--pid", "--"];
  return (command) => ["nsenter", ...flags, ...command];
}

/** Makes the mount points that do not exist; gives those, deepest first. */
export function makeFixedFolders(): string[] {
  const made: string[] = [];
  for (const folder of fixedFolders) {
    const first = mkdirSync(folder, { recursive: true });
    if (first === undefined) continue;
    for (let f = folder; f.length >= first.length; f = path.dirname(f)) made.push(f);
  }
  return made;
}

/** Removes folders that are empty. */
export function removeFolders(folders: readonly string[]): void {
  for (const folder of folders) {
    try {
      rmdirSync(folder);
    } catch {
      // Not empty any more: somebody else's by now.
    }
  }
}

function initScript(folder: string): string {
  const ready = path.join(folder, "node", "namespaces-ready");
  const lines = [
    "set -e",
    // kubelet asks for mount propagation; what is mounted here must not reach the machine.
    "mount --make-rshared /",
    "mount -t tmpfs -o mode=755 tmpfs /run",
    ...fixedFolders.map((fixed) => `mount --bind '${path.join(folder, "node", fixed)}' '${fixed}'`),
    "echo 1 >/proc/sys/net/ipv4/ip_forward",
    "for f in /proc/sys/net/bridge/bridge-nf-call-iptables; do [ ! -e $f ] || echo 1 >$f; done",
    `echo ready >'${ready}'`,
    // bash reaps the orphans that a first process inherits.
    "while :; do sleep 86400 & wait $!; done",
  ];
  return lines.join("\n");
}

/** Makes the namespaces, with the folders and settings that the node's programs expect. */
export async function startNamespaces(folder: string): Promise<NodeNamespaces> {
  for (const fixed of fixedFolders)
    mkdirSync(path.join(folder, "node", fixed), { recursive: true });
  const init = await start({
    name: "node",
    folder,
    isolate: "network",
    survives: true,
    command: ["bash", "-c", initScript(folder)],
  });
  const pid = await waitFor(
    "node namespaces",
    async () => {
      const [child] = childrenOf(init.identity.pid);
      if (child === undefined || !existsSync(path.join(folder, "node", "namespaces-ready")))
        return undefined;
      return identify(child)?.pid;
    },
    { deadlineMs: readyMs, processes: [init] },
  );
  const inside = enter(pid);
  return {
    pid,
    process: init,
    inside,
    run: (name, command, env = {}) =>
      start({ name, folder, survives: true, env, command: inside(command) }),
  };
}
