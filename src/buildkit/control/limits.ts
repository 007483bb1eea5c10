// How long a call may take, and what its end is called: the caller's abort, a deadline, the daemon's own failure.
import { buildkitError, cancelled } from "../errors/errors.ts";
import type { CallLimits, FailedCall } from "../rpc/channel.ts";

/** What a call is, who may end it, and after how many milliseconds it ends by itself. */
export interface Guard {
  /** Begins the sentence of a cancellation: "The call". */
  readonly what: string;
  readonly signal: AbortSignal;
  /** Of a stream: the longest silence between two messages. */
  readonly deadlineMs: number;
}

/** Runs one call, or some that share a deadline. Rejects with BuildkitError; Cancelled when the caller aborted. */
export async function guarded<T>(
  { what, signal, deadlineMs }: Pick<Guard, "what" | "signal"> & Partial<Guard>,
  work: (limits: CallLimits) => Promise<T>,
): Promise<T> {
  try {
    return await work(deadlineMs === undefined ? { signal } : { signal, deadlineMs });
  } catch (error) {
    throw signal.aborted ? cancelled(what, signal.reason) : buildkitError(error);
  }
}

/** A failure that is ours to tell, in the shape of a failed call. */
export function failedCall(code: number, details: string): Error & FailedCall {
  return Object.assign(new Error(details), { code, details });
}

/** Hands on a stream; a silence that is too long ends it with Builder/BuilderSilent. Time that the reader takes does not count. */
export async function* guardedStream<T>(
  { what, signal, deadlineMs }: Guard,
  open: (limits: CallLimits) => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  const silence = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const wait = (): void => {
    timer = setTimeout(() => silence.abort(), deadlineMs);
  };
  try {
    wait();
    for await (const message of open({ signal: AbortSignal.any([signal, silence.signal]) })) {
      clearTimeout(timer);
      yield message;
      wait();
    }
  } catch (error) {
    if (signal.aborted) throw cancelled(what, signal.reason);
    if (silence.signal.aborted)
      throw buildkitError(failedCall(4, `nothing came for ${deadlineMs} ms`));
    throw buildkitError(error);
  } finally {
    clearTimeout(timer);
  }
}
