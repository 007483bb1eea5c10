// Is an instance's disk too full to build on, and how much has to go? Pure.

import type { Problem } from "./problem.ts";

/** How full the disk of a daemon is, in bytes. The volume is unknown for a daemon without an agent beside it. */
export interface DiskFacts {
  /** Of the daemon's cache. */
  readonly cacheBytes: number;
  readonly volumeBytes?: number;
  readonly volumeFreeBytes?: number;
}

/** What a daemon or its agent says; 0 stands for an unknown volume. */
export interface DiskAnswer {
  readonly cacheBytes: number;
  readonly volumeBytes: number;
  readonly volumeFreeBytes: number;
}

const mebibyte = 1024 * 1024;
/** A disk under pressure is free of it again so many percent below the threshold: it does not flap. */
const reliefPercent = 5;

/** The answer in steps of 1/256 of the volume, at least 1 MiB: a status that changes with every byte is written all the time. */
export function diskFacts({ cacheBytes, volumeBytes, volumeFreeBytes }: DiskAnswer): DiskFacts {
  const step = Math.max(mebibyte, Math.floor(volumeBytes / 256));
  const rounded = (bytes: number): number => Math.ceil(bytes / step) * step;
  if (volumeBytes === 0) return { cacheBytes: rounded(cacheBytes) };
  return {
    cacheBytes: rounded(cacheBytes),
    volumeBytes,
    volumeFreeBytes: Math.min(volumeBytes, rounded(volumeFreeBytes)),
  };
}

/** Whether too much of the volume is used: above `threshold` percent, or still above the relief when it was. */
export function isUnderPressure(disk: DiskFacts, threshold: number, was: boolean): boolean {
  const used = usedPercent(disk);
  return used !== undefined && used > (was ? threshold - reliefPercent : threshold);
}

/** Bytes that have to be free for the pressure to be over, with as much to spare. */
export function bytesToFree({ volumeBytes = 0 }: DiskFacts, threshold: number): number {
  const percent = Math.min(100, 100 - threshold + 2 * reliefPercent);
  return Math.ceil((volumeBytes * percent) / 100);
}

/** Says it. `where` is the instance's address. */
export function pressureProblem(disk: DiskFacts, threshold: number, where: string): Problem {
  const used = Math.round(usedPercent(disk) ?? 0);
  const message = `The disk of the instance at ${where} is ${used} % full (limit ${threshold} %): old cache is being removed, and no new run goes there. If it stays, make the volume larger or lower buildkitd.gc.maxUsedSpace.`;
  return { reason: "DiskPressure", message };
}

function usedPercent({ volumeBytes, volumeFreeBytes }: DiskFacts): number | undefined {
  if (volumeBytes === undefined || volumeFreeBytes === undefined || volumeBytes === 0)
    return undefined;
  return (100 * (volumeBytes - volumeFreeBytes)) / volumeBytes;
}
