// Is the process that was recorded still the one that runs under that id? An id alone is reused;
// an id, its start time and the boot it belongs to are not.
import { readFileSync } from "node:fs";
import { z } from "zod";

/** A process as written to disk, so that a later tool can tell it from a stranger. */
export const ProcessIdentity = z.object({
  pid: z.number().int().positive(),
  /** Field 22 of /proc/<pid>/stat: clock ticks since boot. */
  startTime: z.string(),
  bootId: z.string(),
});
export type ProcessIdentity = z.infer<typeof ProcessIdentity>;

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Start time of a process in ticks, or undefined when there is none or only its zombie. */
function startTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The second field is the program's name in brackets and may hold spaces: count after the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

/** The identity of a running process, or undefined when there is none. */
export function identify(pid: number): ProcessIdentity | undefined {
  const start = startTime(pid);
  return start === undefined ? undefined : { pid, startTime: start, bootId: bootId() };
}

/** True when the recorded process itself still runs; false for another one under the same id. */
export function stillRuns(recorded: ProcessIdentity): boolean {
  const now = identify(recorded.pid);
  return now?.startTime === recorded.startTime && now.bootId === recorded.bootId;
}

/** Process ids of the children of a process, in the order the kernel gives. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return text === "" ? [] : text.split(" ").map(Number);
  } catch {
    return [];
  }
}

/** Sends a signal if the recorded process still runs. True when it was sent. */
export function signal(recorded: ProcessIdentity, name: NodeJS.Signals): boolean {
  if (!stillRuns(recorded)) return false;
  try {
    process.kill(recorded.pid, name);
    return true;
  } catch {
    return false;
  }
}
