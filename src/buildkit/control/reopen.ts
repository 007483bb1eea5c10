// A stream that is meant to last, over breaks of the connection: opened again with growing pauses.
import { setTimeout as pause } from "node:timers/promises";
import { buildkitError } from "../errors/errors.ts";

const firstPauseMs = 100;
const maxPauseMs = 2_000;

/** When to give up, and who is told of a new start. */
export interface ReopenOptions {
  readonly signal: AbortSignal;
  /** Milliseconds without any message, from the first break on, after which the last failure is thrown. */
  readonly deadlineMs: number;
  /** The messages that follow begin anew. */
  readonly onReopen: () => void;
}

/**
 * Hands on the messages of a stream until it ends cleanly. A failure that may pass (the connection broke, the daemon
 * went away) opens it again; others are thrown as they are.
 */
export async function* reopened<T>(
  open: () => AsyncIterable<T>,
  { signal, deadlineMs, onReopen }: ReopenOptions,
): AsyncGenerator<T, void, undefined> {
  let giveUpAt: number | undefined;
  for (let failures = 0; ; failures++) {
    try {
      for await (const message of open()) {
        [failures, giveUpAt] = [0, undefined];
        yield message;
      }
      return;
    } catch (error) {
      giveUpAt ??= performance.now() + deadlineMs;
      const mayPass = passing.has(buildkitError(error).grpcCode);
      if (signal.aborted || !mayPass || performance.now() >= giveUpAt) throw error;
      await pause(Math.min(firstPauseMs * 2 ** failures, maxPauseMs), undefined, { signal });
      onReopen();
    }
  }
}

/** UNAVAILABLE; and INTERNAL, which is what a reset of the stream becomes; and RESOURCE_EXHAUSTED, of too many pings. */
const passing = new Set([8, 13, 14]);
