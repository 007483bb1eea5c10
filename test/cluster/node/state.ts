// What does a later `down` (or `up`, after the tool was killed) need to know about a cluster? One file
// in the state folder, written before the first thing exists that it names.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";

/** What a cluster made outside its state folder. */
export const ClusterState = z.object({
  /** Second number of the cluster's addresses, 10.<octet>.0.0/16; names its link and cgroup. */
  octet: z.number().int().min(1).max(254),
  /** /proc/sys/net/ipv4/ip_forward as it was found. */
  ipForward: z.string(),
  /** Folders outside the state folder that did not exist before, deepest first. */
  madeFolders: z.array(z.string()),
  /** True once `up` has succeeded. */
  complete: z.boolean(),
});
export type ClusterState = z.infer<typeof ClusterState>;

function file(folder: string): string {
  return path.join(folder, "cluster.json");
}

/** The state in a folder, or undefined when there is none that can be read. */
export function readState(folder: string): ClusterState | undefined {
  try {
    return ClusterState.parse(JSON.parse(readFileSync(file(folder), "utf8")));
  } catch {
    return undefined;
  }
}

/** Writes the state of a folder. */
export function writeState(folder: string, state: ClusterState): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(file(folder), JSON.stringify(state, null, 2));
}
