// One solve: a connection, a session, the Solve call and its progress, in the order that the daemon needs.
// 1. session, solve and status open together; the daemon waits for the session (5 s) and the status for the ref.
// 2. nothing of the session ends before Solve has answered: any end before that fails the build.
// 3. to cancel: cancel the Solve call, see the status stream end (the daemon has stopped), close the session.
import { Control } from "../gen/moby/buildkit/v1/control_pb.ts";
import type { SolveOptions, SolveRequest, SolveResult } from "./client-types.ts";
import type { Endpoint } from "./rpc/endpoint.ts";
import { buildkitError, BuildkitError, cancelled } from "./errors/errors.ts";
import type { CallHeaders, CallLimits, Channel } from "./rpc/channel.ts";
import { isFailedCall } from "./errors/status.ts";
import { wireRequest } from "./control/request.ts";
import { resultOf } from "./control/result.ts";
import type { Session } from "./session/session.ts";
import { followStatus } from "./progress/status.ts";
import { Transcript } from "./progress/transcript.ts";
import { transportOf } from "./transport.ts";

const statusTailMs = 5_000;
const silentTailMs = 500;
const sessionLossMs = 15_000;
const returnedFailureMs = 5_000;

/** Where a solve runs: its connection, its session, and what aborts when it is over. */
export interface Stage {
  readonly channel: Channel;
  readonly sessionId: string;
  readonly over: AbortSignal;
}

/** What else a solve may be given from inside. */
export interface SolveExtras {
  readonly sessionHeaders?: CallHeaders;
  /**
   * Plays the frontend while the Solve call runs; should end soon after `over` aborts. A failure of its own, not of
   * one of its calls, is what the solve rejects with.
   */
  readonly role?: (stage: Stage) => Promise<void>;
}

/** Runs one build on a connection of its own; see BuildkitClient.solve. */
export async function solve(
  endpoint: Endpoint,
  request: SolveRequest,
  options: SolveOptions & SolveExtras,
): Promise<SolveResult> {
  if (options.signal.aborted) throw cancelled("The build", options.signal.reason);
  const transport = transportOf(endpoint);
  try {
    const session = transport.openSession({ ...options, headers: options.sessionHeaders });
    try {
      return await solveIn(transport.channel, session, request, options);
    } finally {
      await session.close();
    }
  } finally {
    transport.close();
  }
}

async function solveIn(
  channel: Channel,
  session: Session,
  request: SolveRequest,
  options: SolveOptions & SolveExtras,
): Promise<SolveResult> {
  const transcript = new Transcript();
  const statusEnd = new AbortController();
  let over = false;
  let told = false;
  const status = followStatus(channel, {
    ref: request.ref,
    onEvent: (event) => {
      told = true;
      transcript.add(event);
      options.onEvent(event);
    },
    signal: statusEnd.signal,
    solveIsOver: () => over,
  });
  const loss = watchSession(session);
  const signal = AbortSignal.any([options.signal, loss.signal]);
  const solving = withRole(options.role, { channel, sessionId: session.id, signal }, (limits) =>
    channel.unary(Control.method.solve, wireRequest(request, session.id), limits),
  );
  try {
    const response = await solving;
    over = true;
    await within(status, statusTailMs);
    return resultOf(response.exporterResponse);
  } catch (error) {
    over = true;
    const failure = buildkitError(error);
    // The ref belongs to another solve: its progress is not ours to wait for. A request that the daemon refused
    // before it made a job of it has no progress, but the daemon looks for some for 6 s.
    if (failure.reason !== "DuplicateRef") await within(status, told ? statusTailMs : silentTailMs);
    if (options.signal.aborted) throw cancelled("The build", options.signal.reason);
    throw loss.signal.aborted ? lost(loss.signal.reason) : buildkitError(error, transcript);
  } finally {
    loss.stop();
    statusEnd.abort();
    await status;
  }
}

/**
 * Solves while a role plays the frontend. A role that fails has told the daemon, which ends the Solve call; should it
 * not, the call is cut. The daemon's failure wins unless the role's own is behind it.
 */
async function withRole<T>(
  role: SolveExtras["role"],
  { channel, sessionId, signal }: Omit<Stage, "over"> & { readonly signal: AbortSignal },
  call: (limits: CallLimits) => Promise<T>,
): Promise<T> {
  if (role === undefined) return call({ signal });
  const [over, cut] = [new AbortController(), new AbortController()];
  const solving = call({ signal: AbortSignal.any([signal, cut.signal]) });
  let failure: BuildkitError | undefined;
  let timer: NodeJS.Timeout | undefined;
  role({ channel, sessionId, over: AbortSignal.any([signal, over.signal]) }).catch(
    (error: unknown) => {
      if (over.signal.aborted) return; // it fails because the solve is over
      failure = buildkitError(error);
      timer = setTimeout(() => cut.abort(), returnedFailureMs);
    },
  );
  try {
    return await solving;
  } catch (error) {
    throw failure !== undefined && (!isFailedCall(failure.cause) || cut.signal.aborted)
      ? failure
      : error;
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

/** A solve whose session is gone fails by itself; when it does not in time, it is cut. */
function watchSession(session: Session): { signal: AbortSignal; stop(): void } {
  const cut = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  void session.ended.then((error) => {
    if (!stopped) timer = setTimeout(() => cut.abort(error), sessionLossMs);
  });
  const stop = (): void => {
    stopped = true;
    clearTimeout(timer);
  };
  return { signal: cut.signal, stop };
}

function lost(cause: unknown): BuildkitError {
  return new BuildkitError({
    class: "Infra",
    reason: "SessionLost",
    message:
      "The connection between Kiln and the builder broke during the build. It can be tried again.",
    retryable: true,
    grpcCode: 14,
    cause,
  });
}

async function within(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work, late]);
  clearTimeout(timer);
}
