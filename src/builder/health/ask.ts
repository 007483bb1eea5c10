// How is a daemon asked what it is: itself, or through the agent beside it. The same way that runs take.

import type { Place } from "../../agent/agent.ts";
import { RemoteAgent } from "../../agent/wire/remote.ts";
import { type BuildkitClient, connect, type Worker } from "../../buildkit/index.ts";
import type { DiskAnswer } from "./disk.ts";

/** What a daemon says. */
export interface DaemonAnswer {
  /** Without the leading "v". */
  readonly version: string;
  readonly workers: readonly Worker[];
  /** The instance takes no new run. */
  readonly draining: boolean;
  /** Absent while it is not known. */
  readonly disk?: DiskAnswer;
}

/** A connection to one daemon. */
export interface DaemonProbe {
  /** Rejects with `KilnError` when there is no answer. */
  ask(signal: AbortSignal): Promise<DaemonAnswer>;
  /** Removes old cache until so much of the disk is free; see `RemoteAgent.prune`. */
  prune(minFreeBytes: number, signal: AbortSignal): Promise<number>;
  close(): void;
}

/** Dials nothing yet; throws as `connect`. */
export function daemonProbe({ kind, endpoint }: Place): DaemonProbe {
  if (kind === "agent" && endpoint.kind === "tcp") return agentProbe(new RemoteAgent(endpoint));
  return directProbe(connect(endpoint));
}

function agentProbe(agent: RemoteAgent): DaemonProbe {
  return {
    ask: async (signal) => {
      // An agent that cannot say how full its disk is may be of another version, and builds all the same.
      const [info, disk] = await Promise.all([
        agent.info(signal),
        agent.usage(signal).catch(() => undefined),
      ]);
      return { ...info, ...(disk === undefined ? {} : { disk }) };
    },
    prune: async (minFreeBytes, signal) => await agent.prune(minFreeBytes, signal),
    close: () => agent.close(),
  };
}

/** Looks through all records of the daemon, so it is asked seldom. */
const diskEveryMs = 60_000;

function directProbe(client: BuildkitClient): DaemonProbe {
  let known: { readonly disk: DiskAnswer | undefined; readonly atMs: number } | undefined;
  const diskOf = async (signal: AbortSignal): Promise<DiskAnswer | undefined> => {
    if (known !== undefined && Date.now() - known.atMs < diskEveryMs) return known.disk;
    const records = await client.diskUsage(signal).catch(() => undefined);
    const cacheBytes = records?.reduce((sum, { size }) => sum + size, 0);
    const disk =
      cacheBytes === undefined ? undefined : { cacheBytes, volumeBytes: 0, volumeFreeBytes: 0 };
    known = { disk, atMs: Date.now() };
    return disk;
  };
  return {
    ask: async (signal) => {
      const [{ version }, workers, disk] = await Promise.all([
        client.info(signal),
        client.workers(signal),
        diskOf(signal),
      ]);
      return { version, workers, draining: false, ...(disk === undefined ? {} : { disk }) };
    },
    // Somebody else's disk: never touched.
    prune: () => Promise.resolve(0),
    close: () => client.close(),
  };
}
