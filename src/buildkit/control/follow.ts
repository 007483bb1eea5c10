// The progress of a build that somebody else solves, or that is over: all of it from its start, each event once.
import { Control } from "../../gen/moby/buildkit/v1/control_pb.ts";
import { eventsOf, type SolveEvent } from "../progress/events.ts";
import { ReplayFilter } from "../progress/replay.ts";
import type { Channel } from "../rpc/channel.ts";
import { reopened } from "./reopen.ts";

/** Follows a ref to its end. Rejects as a call does; code 5 when the daemon knows no such ref (it waits 6 s for one). */
export async function followRef(
  channel: Channel,
  ref: string,
  options: {
    readonly signal: AbortSignal;
    readonly deadlineMs: number;
    onEvent(event: SolveEvent): void;
  },
): Promise<void> {
  const { signal, deadlineMs } = options;
  const filter = new ReplayFilter();
  const open = () => channel.serverStream(Control.method.status, { ref }, { signal });
  const onReopen = (): void => filter.replay();
  for await (const status of reopened(open, { signal, deadlineMs, onReopen }))
    for (const event of eventsOf(status)) if (filter.isNew(event)) options.onEvent(event);
}
