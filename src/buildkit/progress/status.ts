// The status stream of one solve, followed over its breaks, each event told once.
import { Control } from "../../gen/moby/buildkit/v1/control_pb.ts";
import { eventsOf, type SolveEvent } from "./events.ts";
import type { Channel } from "../rpc/channel.ts";
import { ReplayFilter } from "./replay.ts";

const firstPauseMs = 100;
const maxPauseMs = 2_000;
/** The daemon tells the progress of a solve that is over out of its history, which takes a moment to be written. */
const triesAfterEnd = 3;

/** How a status stream is followed. */
export interface FollowOptions {
  readonly ref: string;
  onEvent(event: SolveEvent): void;
  /** Aborts when nothing more is wanted: then the promise resolves. */
  readonly signal: AbortSignal;
  /** The solve is over: a broken stream is opened again just to learn how it went on. */
  solveIsOver(): boolean;
}

/** Follows until the daemon ends the stream cleanly. Never rejects: progress is not worth a build. */
export async function followStatus(channel: Channel, options: FollowOptions): Promise<void> {
  const filter = new ReplayFilter();
  let told = false;
  let tries = 0;
  for (let failures = 0; ; ) {
    try {
      for await (const status of channel.serverStream(
        Control.method.status,
        { ref: options.ref },
        options,
      )) {
        failures = 0;
        told = true;
        for (const event of eventsOf(status)) if (filter.isNew(event)) options.onEvent(event);
      }
      return;
    } catch {
      if (options.signal.aborted) return;
      // Of a solve that never told anything there is nothing to catch up with: the daemon refused it.
      if (options.solveIsOver() && (!told || ++tries > triesAfterEnd)) return;
      filter.replay();
      await pause(Math.min(firstPauseMs * 2 ** failures++, maxPauseMs), options.signal);
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
