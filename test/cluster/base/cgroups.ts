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

function hierarchies(): string[] {
  if (existsSync(path.join(root, "cgroup.controllers"))) return [root];
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(root, entry.name));
}

function removeTree(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(path.join(folder, entry.name));
  }
  try {
    rmdirSync(folder);
  } catch {
    // Busy: a process is still in it. The next sweep tries again.
  }
}

/** Removes the group `name` and everything below it from every hierarchy. */
export function removeCgroups(name: string): void {
  for (const hierarchy of hierarchies()) removeTree(path.join(hierarchy, name));
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
