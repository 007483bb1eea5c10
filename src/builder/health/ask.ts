// How is a daemon asked what it is: itself, or through the agent beside it. The same way that runs take.

import type { Place } from "../../agent/agent.ts";
import { RemoteAgent } from "../../agent/wire/remote.ts";
import { connect, type Worker } from "../../buildkit/index.ts";

/** What a daemon says. */
export interface DaemonAnswer {
  /** Without the leading "v". */
  readonly version: string;
  readonly workers: readonly Worker[];
  /** The instance takes no new run. */
  readonly draining: boolean;
}

/** A connection to one daemon. */
export interface DaemonProbe {
  /** Rejects with `KilnError` when there is no answer. */
  ask(signal: AbortSignal): Promise<DaemonAnswer>;
  close(): void;
}

/** Dials nothing yet; throws as `connect`. */
export function daemonProbe({ kind, endpoint }: Place): DaemonProbe {
  if (kind === "agent" && endpoint.kind === "tcp") {
    const agent = new RemoteAgent(endpoint);
    return { ask: async (signal) => await agent.info(signal), close: () => agent.close() };
  }
  const client = connect(endpoint);
  const ask = async (signal: AbortSignal): Promise<DaemonAnswer> => {
    const [{ version }, workers] = await Promise.all([client.info(signal), client.workers(signal)]);
    return { version, workers, draining: false };
  };
  return { ask, close: () => client.close() };
}
