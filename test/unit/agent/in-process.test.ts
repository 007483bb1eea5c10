// The in-process agent over a scripted BuildKit client: idempotent starts, outcomes, cancelling, forgetting, remembering.

import assert from "node:assert/strict";
import pino from "pino";
import type { Job, JobEvent, JobOutcome } from "../../../src/agent/agent.ts";
import { InProcessAgent } from "../../../src/agent/in-process.ts";
import { Sealed } from "../../../src/agent/sealed.ts";
import {
  type BuildkitClient,
  BuildkitError,
  type HistoryRecord,
  type SolveOptions,
  type SolveResult,
} from "../../../src/buildkit/index.ts";

const log = pino({ level: "silent" });
const secretValue = "s3cret-c4n4ry";
const never = new AbortController().signal;

function aJob(ref = "u-1"): Job {
  return {
    ref,
    request: {
      ref,
      frontend: "dockerfile.v0",
      frontendAttrs: {},
      exporters: [],
      cacheImports: [],
      cacheExports: [],
    },
    materials: new Sealed({
      endpoint: { kind: "unix", path: "/none" },
      secrets: new Map([["id", Buffer.from(secretValue)]]),
      logins: new Map(),
      sshKeys: [],
      trees: new Map(),
    }),
  };
}

/** A client whose solves wait for the test; counts what is open. Honours nothing of the daemon. */
class Script {
  readonly solves: (SolveOptions & PromiseWithResolvers<SolveResult>)[] = [];
  record: HistoryRecord | undefined;
  open = 0;

  connect = (): BuildkitClient => {
    this.open += 1;
    return {
      solve: async (_request: unknown, options: SolveOptions) => {
        const solve = { ...options, ...Promise.withResolvers<SolveResult>() };
        this.solves.push(solve);
        options.signal.addEventListener("abort", () => solve.reject(new Error("aborted")));
        return await solve.promise;
      },
      history: async () => this.record,
      readBlob: async () => {
        throw new Error("no such blob");
      },
      close: () => {
        this.open -= 1;
      },
    } as unknown as BuildkitClient;
  };
}

const result: SolveResult = { exporterResponse: {}, imageNames: [], digest: "sha256:a" };

async function outcomeOf(agent: InProcessAgent, ref: string): Promise<JobOutcome> {
  let last: JobEvent | undefined;
  for await (const event of agent.attach(ref, 0, never)) last = event;
  assert.ok(last?.kind === "finished");
  return last.outcome;
}

function aRecord(over: Partial<HistoryRecord>): HistoryRecord {
  return {
    ref: "u-1",
    active: false,
    frontend: "dockerfile.v0",
    frontendAttrs: {},
    exporters: [],
    pinned: false,
    generation: 1,
    completedAt: new Date("2026-03-01T12:00:00Z"),
    steps: { total: 1, completed: 1, cached: 0 },
    warnings: 0,
    images: [],
    attestations: [],
    ...over,
  };
}

const stepFailed = (over: object = {}) =>
  new BuildkitError({
    class: "User",
    reason: "StepFailed",
    message: `exit code 1 near ${secretValue}`,
    retryable: false,
    grpcCode: 2,
    step: `RUN echo ${secretValue}`,
    details: { exitCode: 1 },
    logTail: ["one", `token ${secretValue}`],
    ...over,
  });

describe("InProcessAgent", () => {
  it("starts a ref once, however often it is told to", async () => {
    const script = new Script();
    const agent = new InProcessAgent({ log, connect: script.connect });
    await agent.start(aJob());
    await agent.start(aJob());
    assert.equal(script.solves.length, 1);
    script.solves[0]?.resolve(result);
    assert.equal((await outcomeOf(agent, "u-1")).kind, "succeeded");
    await agent.start(aJob());
    assert.equal(script.solves.length, 1, "not even when it is finished");
    assert.equal(script.open, 0, "the connection was closed");
  });

  it("gives events to a reader that comes late, and to several", async () => {
    const script = new Script();
    const agent = new InProcessAgent({ log, connect: script.connect });
    await agent.start(aJob());
    const vertex = { kind: "vertex", digest: "a", name: "n", inputs: [], cached: false } as const;
    script.solves[0]?.onEvent(vertex);
    script.solves[0]?.resolve(result);
    for (let reader = 0; reader < 2; reader++) {
      const kinds: string[] = [];
      for await (const event of agent.attach("u-1", 0, never)) kinds.push(event.kind);
      assert.deepEqual(kinds, ["solve", "finished"]);
    }
  });

  it("cancels, and says so", async () => {
    const script = new Script();
    const agent = new InProcessAgent({ log, connect: script.connect });
    await agent.start(aJob());
    await agent.cancel("u-1");
    await agent.cancel("unknown");
    assert.equal((await outcomeOf(agent, "u-1")).kind, "cancelled");
  });

  it("cuts secrets out of everything a failure says", async () => {
    const script = new Script();
    const agent = new InProcessAgent({ log, connect: script.connect });
    await agent.start(aJob());
    script.solves[0]?.reject(stepFailed());
    const outcome = await outcomeOf(agent, "u-1");
    assert.partialDeepStrictEqual(outcome, {
      kind: "failed",
      failure: {
        class: "User",
        reason: "StepFailed",
        exitCode: 1,
        logTail: ["one", "token [redacted]"],
      },
    });
    assert.equal(JSON.stringify(outcome).includes(secretValue), false);
  });

  it("keeps a job until it is acknowledged, and a running one even then", async () => {
    const script = new Script();
    const agent = new InProcessAgent({ log, connect: script.connect });
    await agent.start(aJob());
    await agent.acknowledge("u-1");
    assert.deepEqual(
      (await agent.list()).map(({ ref, state }) => [ref, state]),
      [["u-1", "running"]],
    );
    script.solves[0]?.resolve(result);
    await outcomeOf(agent, "u-1");
    assert.equal((await agent.list())[0]?.state, "finished");
    await agent.acknowledge("u-1");
    assert.deepEqual(await agent.list(), []);
    assert.throws(() => agent.attach("u-1", 0, never), /no job u-1/);
  });

  it("drops the oldest finished jobs that nobody asked for", async () => {
    const script = new Script();
    const agent = new InProcessAgent({ log, connect: script.connect, maxFinished: 2 });
    for (const ref of ["a", "b", "c", "d"]) {
      await agent.start(aJob(ref));
      script.solves.at(-1)?.resolve(result);
      await outcomeOf(agent, ref);
    }
    assert.deepEqual(
      (await agent.list()).map(({ ref }) => ref),
      ["c", "d"],
    );
  });

  it("cancels what runs and takes nothing more when it is stopped", async () => {
    const script = new Script();
    const agent = new InProcessAgent({ log, connect: script.connect });
    await agent.start(aJob());
    await agent.stop();
    assert.equal((await outcomeOf(agent, "u-1")).kind, "cancelled");
    await assert.rejects(agent.start(aJob("u-2")), /takes no new build/);
  });

  const memories: readonly (readonly [string, HistoryRecord | undefined, object])[] = [
    ["does not know a ref that the daemon does not know", undefined, { kind: "unknown" }],
    ["says that the daemon still solves", aRecord({ active: true }), { kind: "running" }],
    [
      "copies a good end with its time",
      aRecord({ result }),
      {
        kind: "finished",
        outcome: {
          kind: "succeeded",
          finishedAt: "2026-03-01T12:00:00.000Z",
          facts: { images: [{ digest: "sha256:a" }] },
        },
      },
    ],
    [
      "copies a failure",
      aRecord({ error: stepFailed() }),
      { kind: "finished", outcome: { kind: "failed", failure: { reason: "StepFailed" } } },
    ],
    [
      "takes a solve whose caller vanished for cancelled",
      aRecord({ error: stepFailed({ grpcCode: 1 }) }),
      { kind: "finished", outcome: { kind: "cancelled" } },
    ],
  ];
  for (const [name, record, expected] of memories)
    it(`${name} (history)`, async () => {
      const script = new Script();
      script.record = record;
      const agent = new InProcessAgent({ log, connect: script.connect });
      const { materials } = aJob();
      assert.partialDeepStrictEqual(await agent.recall({ ref: "u-1", materials }, never), expected);
      assert.equal(script.open, 0);
    });
});
