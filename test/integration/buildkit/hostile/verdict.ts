// What every hostile test asserts: the failure is ours to name, comes in time, and leaves nothing behind.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  type Attachable,
  BuildkitError,
  type BuildkitClient,
  connect,
  type Endpoint,
  filesync,
  inMemoryTree,
  type SolveEvent,
  type SolveRequest,
  type SolveResult,
} from "../../../../src/buildkit/index.ts";
import { waitFor } from "../../../cluster/index.ts";
import { hostileDaemon, type HostileDaemon, type Script } from "./daemon.ts";

/** Deadline of each call in these tests, in milliseconds. */
export const callTimeoutMs = 1_000;
/** A call that outlives its deadline by this much hangs: what ends it is not its deadline. */
const graceMs = 10_000;

/** A build that asks for nothing but a Dockerfile. */
export function request(more: Partial<SolveRequest> = {}): SolveRequest {
  return {
    ref: randomUUID(),
    frontend: "dockerfile.v0",
    frontendAttrs: {},
    exporters: [],
    cacheImports: [],
    cacheExports: [],
    ...more,
  };
}

/** How a build of these tests is run. */
export interface Asked {
  readonly attachables?: readonly Attachable[];
  readonly onEvent?: (event: SolveEvent) => void;
  /** Milliseconds; default 2 s. */
  readonly deadlineMs?: number;
  readonly request?: Partial<SolveRequest>;
}

/** Solves with a deadline. */
export function solve(client: BuildkitClient, asked: Asked = {}): Promise<SolveResult> {
  const dockerfile = inMemoryTree(new Map([["Dockerfile", { data: "FROM scratch\n" }]]));
  return client.solve(request(asked.request), {
    attachables: asked.attachables ?? [filesync({ dockerfile, context: dockerfile })],
    onEvent: asked.onEvent ?? (() => undefined),
    signal: AbortSignal.timeout(asked.deadlineMs ?? 2_000),
  });
}

/** The error that an attempt ends with; it must come, as a BuildkitError, within its deadline. */
export async function failure(
  attempt: Promise<unknown>,
  deadlineMs: number = callTimeoutMs,
): Promise<BuildkitError> {
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve("hangs beyond its deadline"), deadlineMs + graceMs);
  });
  const ended = attempt.then(
    (value) => `did not fail: ${String(value)}`,
    (error: unknown) => error,
  );
  const error: unknown = await Promise.race([ended, hang]);
  clearTimeout(timer);
  assert.ok(
    error instanceof BuildkitError,
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  );
  assert.ok(error.message.length < 4_096, "a message that nobody reads");
  return error;
}

/** A failure that is not the user's fault: the daemon's or the way's to it. */
export async function daemonsFault(
  attempt: Promise<unknown>,
  deadlineMs?: number,
): Promise<BuildkitError> {
  const error = await failure(attempt, deadlineMs);
  assert.ok(
    // Who asks for more than a message holds is told to ask for less, whatever made the message so large.
    ["Builder", "Infra"].includes(error.class) || error.reason === "MessageTooLarge",
    `${error.class}/${error.reason}: ${error.message}`,
  );
  return error;
}

/** Sockets, pipes, workers and the like that this process holds. Timers are the test runner's as well. */
function handles(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    if (kind === "Timeout" || kind === "Immediate" || kind === "TickObject") continue;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/** Registers hooks: after each test of this suite there is no handle that was not there before it. */
export function leavesNoHandles(): void {
  let before = new Map<string, number>();
  beforeEach(() => void (before = handles()));
  afterEach(async () => {
    let left: string[] = [];
    await waitFor(
      "every handle to be closed",
      async () => {
        left = [...handles()]
          .filter(([kind, count]) => count > (before.get(kind) ?? 0))
          .map(([kind, count]) => `${count} ${kind}`);
        return left.length === 0 ? true : undefined;
      },
      { deadlineMs: 10_000 },
    ).catch((error: unknown) => {
      throw new Error(`left open: ${left.join(", ")}`, { cause: error });
    });
  });
}

/** Runs a test with a client of an endpoint, which must have no connection left afterwards. */
export async function withClient(
  endpoint: Endpoint,
  connections: () => number,
  work: (client: BuildkitClient) => Promise<void>,
): Promise<void> {
  const client = connect(endpoint, { callTimeoutMs });
  try {
    await work(client);
  } finally {
    client.close();
  }
  await waitFor(
    "the client to close its connections",
    async () => (connections() === 0 ? true : undefined),
    { deadlineMs: 15_000 },
  );
}

/** The same against a scripted daemon of its own. */
export async function against(
  script: Script,
  work: (client: BuildkitClient, daemon: HostileDaemon) => Promise<void>,
): Promise<void> {
  const daemon = await hostileDaemon(script);
  try {
    await withClient(
      daemon.endpoint,
      () => daemon.connections.size,
      (client) => work(client, daemon),
    );
  } finally {
    await daemon.stop();
  }
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const leastPauseMs = 250;
/** A collection takes long on a busy machine: what is measured must not stand still for it. */
const pausePerCollection = 10;

/** Most bytes in use during `work` above what was in use before it, after garbage collections. */
export async function memoryOf(work: () => Promise<void>): Promise<number> {
  const inUse = (): number => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = inUse();
  let most = before;
  let timer: NodeJS.Timeout;
  const look = (): void => {
    const begun = performance.now();
    most = Math.max(most, inUse());
    const tookMs = performance.now() - begun;
    timer = setTimeout(look, Math.max(leastPauseMs, pausePerCollection * tookMs));
  };
  timer = setTimeout(look, leastPauseMs);
  try {
    await work();
  } finally {
    clearTimeout(timer);
  }
  return Math.max(most, inUse()) - before;
}
