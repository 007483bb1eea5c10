// A build whose frontend is played by a callback: the outer Solve waits for what the callback hands back.
// 1. Solve, session and status open as for any solve; the bridge opens as soon as the daemon knows the build.
// 2. the callback's result, or its failure, is handed over with Return; that ends the outer Solve.
// 3. when the outer Solve ends first, the callback's signal aborts, and that failure is the one that counts.
import type { SolveOptions, SolveRequest, SolveResult } from "../client-types.ts";
import { wireRequest } from "../control/request.ts";
import { callbackFailed } from "../errors/errors.ts";
import { statusOf } from "../errors/status.ts";
import type { Endpoint } from "../rpc/endpoint.ts";
import { solve, type Stage } from "../solve.ts";
import { openBridge } from "./bridge.ts";
import type { Gateway } from "./gateway.ts";
import type { GatewayResult } from "./result.ts";

/**
 * A build without a frontend of its own. Its `ref` must be new: while another build has it, the daemon may take the
 * callback's first calls for that build's before it refuses this one.
 */
export type BuildRequest = Omit<SolveRequest, "frontend" | "definition">;

/** Plays the frontend: solves parts and hands back what the build is to make; undefined: nothing. */
export type BuildCallback = (gateway: Gateway) => Promise<GatewayResult | undefined>;

/** What is built and by whom. */
export interface BuildPlan {
  readonly request: BuildRequest;
  readonly run: BuildCallback;
  /** Deadline of the bridge's calls that run no steps. */
  readonly callTimeoutMs: number;
}

/** Runs one build; see BuildkitClient.build. */
export async function build(
  endpoint: Endpoint,
  plan: BuildPlan,
  options: SolveOptions,
): Promise<SolveResult> {
  const request = { ...plan.request, frontend: "", definition: new Uint8Array() };
  return solve(endpoint, request, { ...options, role: (stage) => playFrontend(plan, stage) });
}

/** Rejects with the callback's own failure, if that is why the build ends; with the daemon's, if that came first. */
async function playFrontend(
  { request, run, callTimeoutMs }: BuildPlan,
  { channel, sessionId, over }: Stage,
): Promise<void> {
  const bridge = await openBridge(channel, {
    ref: request.ref,
    sessionId,
    signal: over,
    callTimeoutMs,
    sharedAttrs: cacheAttrs(request),
  });
  let result: GatewayResult | undefined;
  try {
    result = await run(bridge);
  } catch (error) {
    await bridge.finish({ error: statusOf(error) });
    throw callbackFailed(error);
  }
  await bridge.finish({ result: result ?? {} });
}

/** A frontend is told of the cache imports of its build (frontend/gateway/grpcclient/client.go, v0.34.2). */
function cacheAttrs(request: BuildRequest): Record<string, string> {
  const imports = wireRequest({ ...request, frontend: "" }, "").frontendAttrs?.["cache-imports"];
  return imports === undefined ? {} : { "cache-imports": imports };
}
