// The status stream of one solve, followed over its breaks, each event told once.
import { Control } from "../../gen/moby/buildkit/v1/control_pb.ts";
import { eventsOf, type LogEvent, type SolveEvent } from "./events.ts";
import type { Channel } from "../rpc/channel.ts";

/**
 * Drops what a stream that was opened again repeats: the daemon replays a solve from its start. Logs have no
 * number, so a stream of output is known by the time of its last chunk; the rest is "last one holds" anyway.
 */
export class ReplayFilter {
  readonly #last = new Map<string, { time: number; count: number }>();
  #replayed: Map<string, { time: number; count: number }> | undefined;

  /** From here on the daemon tells everything again. */
  replay(): void {
    this.#replayed = new Map([...this.#last].map(([key, mark]) => [key, { ...mark }]));
  }

  /** Whether this event is told for the first time. */
  isNew(event: SolveEvent): boolean {
    if (event.kind !== "log") return true;
    const key = `${event.vertex} ${event.stream}`;
    if (this.#seenBefore(key, event)) return false;
    const time = event.timestamp.getTime();
    const mark = this.#last.get(key);
    if (mark === undefined || time > mark.time) this.#last.set(key, { time, count: 1 });
    else if (time === mark.time) mark.count++;
    return true;
  }

  #seenBefore(key: string, event: LogEvent): boolean {
    const mark = this.#replayed?.get(key);
    if (mark === undefined) return false;
    const time = event.timestamp.getTime();
    if (time < mark.time) return true;
    if (time > mark.time || mark.count === 0) {
      this.#replayed?.delete(key);
      return false;
    }
    mark.count--;
    return true;
  }
}

const firstPauseMs = 100;
const maxPauseMs = 2_000;

/** How a status stream is followed. */
export interface FollowOptions {
  readonly ref: string;
  onEvent(event: SolveEvent): void;
  /** Aborts when nothing more is wanted: then the promise resolves. */
  readonly signal: AbortSignal;
  /** The solve is over: a broken stream is not opened again. */
  solveIsOver(): boolean;
}

/** Follows until the daemon ends the stream cleanly. Never rejects: progress is not worth a build. */
export async function followStatus(channel: Channel, options: FollowOptions): Promise<void> {
  const filter = new ReplayFilter();
  for (let failures = 0; ; ) {
    try {
      for await (const status of channel.serverStream(
        Control.method.status,
        { ref: options.ref },
        options,
      )) {
        failures = 0;
        for (const event of eventsOf(status)) if (filter.isNew(event)) options.onEvent(event);
      }
      return;
    } catch {
      if (options.signal.aborted || options.solveIsOver()) return;
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
