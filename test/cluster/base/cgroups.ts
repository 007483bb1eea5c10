// Which control groups did a cluster or a buildkitd make, and how are they removed? Each has one
// named top group in every hierarchy (cgroup v1) or in the one (v2); the kernel refuses to remove a
// group with processes, so nothing alive can be lost.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";

const root = "/sys/fs/cgroup";
const attempts = 25;
const attemptMs = 20;

function hierarchies(): string[] {
  if (existsSync(path.join(root, "cgroup.controllers"))) return [root];
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(root, entry.name));
}

function tryRemoveTree(folder: string): boolean {
  if (!existsSync(folder)) return true;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) tryRemoveTree(path.join(folder, entry.name));
  }
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}

/**
 * Removes the group `name` and everything below it from every hierarchy. The kernel counts a process
 * that was just killed for a moment longer: tried again within half a second.
 */
export function removeCgroups(name: string): void {
  const folders = hierarchies().map((hierarchy) => path.join(hierarchy, name));
  for (let n = 0; n < attempts && !folders.every(tryRemoveTree); n += 1) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, attemptMs);
  }
}

/** Names of the top groups that begin with a prefix. */
export function cgroupsLike(prefix: string): string[] {
  const names = hierarchies().flatMap((hierarchy) => readdirSync(hierarchy));
  return [...new Set(names)].filter((name) => name.startsWith(prefix));
}

/** Makes the top group `name`, with the CPUs of its parent, for a kubelet's `cgroupRoot`. */
export function makeCgroups(name: string): void {
  for (const hierarchy of hierarchies()) {
    const group = path.join(hierarchy, name);
    mkdirSync(group, { recursive: true });
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      const own = path.join(group, file);
      if (!existsSync(own) || !existsSync(path.join(hierarchy, file))) continue;
      writeFileSync(own, readFileSync(path.join(hierarchy, file)));
    }
  }
}
