// The event log of a job: nothing is lost while it fits, the truth survives when it does not, and nobody waits for anybody.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { JobEvent, JobOutcome } from "../../../src/agent/agent.ts";
import { EventLog } from "../../../src/agent/events/event-log.ts";
import type { SolveEvent } from "../../../src/buildkit/progress/events.ts";

const cancelled: JobOutcome = { kind: "cancelled", finishedAt: "2026-03-01T12:00:00Z" };

function vertex(digest: string, cached = false): SolveEvent {
  return { kind: "vertex", digest, name: `step ${digest}`, inputs: [], cached };
}

function log(bytes: number): SolveEvent {
  return {
    kind: "log",
    vertex: "a",
    stream: 1,
    data: new Uint8Array(bytes),
    timestamp: new Date(0),
  };
}

async function all(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  const list: JobEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}

const never = new AbortController().signal;

describe("EventLog", () => {
  it("gives every event once, in order, and ends with the outcome", async () => {
    const events = new EventLog();
    events.append(vertex("a"));
    const reading = all(events.read(0, never));
    events.append(vertex("b"));
    events.finish(cancelled);
    assert.deepEqual(
      (await reading).map(({ kind, offset }) => [kind, offset]),
      [
        ["solve", 0],
        ["solve", 1],
        ["finished", 2],
      ],
    );
  });

  it("goes on where a reader left off", async () => {
    const events = new EventLog();
    for (const digest of ["a", "b", "c"]) events.append(vertex(digest));
    events.finish(cancelled);
    const rest = await all(events.read(2, never));
    assert.deepEqual(
      rest.map(({ offset }) => offset),
      [2, 3],
    );
    assert.deepEqual(
      (await all(events.read(99, never))).map(({ kind }) => kind),
      ["finished"],
    );
  });

  it("stops reading when the reader's signal fires", async () => {
    const stop = new AbortController();
    const reading = all(new EventLog().read(0, stop.signal));
    stop.abort();
    assert.deepEqual(await reading, []);
  });

  it("keeps the first outcome and takes nothing after it", async () => {
    const events = new EventLog();
    events.finish(cancelled);
    events.append(vertex("a"));
    events.finish({ kind: "succeeded", facts: { images: [], baseImages: [] }, finishedAt: "" });
    assert.deepEqual(
      (await all(events.read(0, never))).map(({ kind }) => kind),
      ["finished"],
    );
  });

  it("tells a late reader what is missing, and every vertex's last word", async () => {
    const events = new EventLog({ limits: { maxEntries: 8, maxLogBytes: 1024 } });
    for (const digest of ["a", "b"]) events.append(vertex(digest));
    events.append(vertex("a", true));
    for (let i = 0; i < 20; i++) events.append(log(1));
    events.finish(cancelled);
    const [gap, ...rest] = await all(events.read(0, never));
    assert.equal(gap?.kind, "gap");
    const vertices = rest.flatMap((event) =>
      event.kind === "solve" && event.event.kind === "vertex" ? [event.event] : [],
    );
    assert.deepEqual(
      vertices.map(({ digest, cached }) => [digest, cached]),
      [
        ["a", true],
        ["b", false],
      ],
    );
    assert.equal(rest.at(-1)?.kind, "finished");
  });

  it("tells a late reader each warning once, without the file that it quotes", async () => {
    const events = new EventLog({ limits: { maxEntries: 8, maxLogBytes: 1024 } });
    const file = { path: "Dockerfile", language: "", data: Buffer.alloc(9), ranges: [] };
    const warning = { kind: "warning", vertex: "a", level: 1, short: "w", detail: [] } as const;
    for (let i = 0; i < 3; i++) events.append({ ...warning, file });
    for (let i = 0; i < 20; i++) events.append(log(1));
    events.finish(cancelled);
    const told = (await all(events.read(0, never))).flatMap((event) =>
      event.kind === "solve" && event.event.kind === "warning" ? [event.event] : [],
    );
    assert.deepEqual(told, [warning]);
  });

  it("stays within its bounds whatever is logged, and always ends with the outcome", async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 200 });
    await fc.assert(
      fc.asyncProperty(sizes, async (list) => {
        const events = new EventLog({ limits: { maxEntries: 16, maxLogBytes: 1000 } });
        for (const size of list) events.append(log(size));
        events.finish(cancelled);
        const read = await all(events.read(0, never));
        const bytes = read.reduce(
          (sum, event) =>
            sum +
            (event.kind === "solve" && event.event.kind === "log"
              ? event.event.data.byteLength
              : 0),
          0,
        );
        assert.ok(bytes <= 1000);
        assert.ok(read.length <= 16 + 1);
        assert.equal(read.at(-1)?.kind, "finished");
        assert.equal(read.at(-1)?.offset, list.length);
      }),
      { numRuns: 50 },
    );
  });
});
