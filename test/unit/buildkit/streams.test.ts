// Streams that last and streams that may not be silent: when they go on, and what they end with.
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { BuildHistoryRecordSchema } from "../../../src/gen/moby/buildkit/v1/control_pb.ts";
import { failedCall, guarded, guardedStream } from "../../../src/buildkit/control/limits.ts";
import { ToldRecords } from "../../../src/buildkit/control/listen.ts";
import { reopened } from "../../../src/buildkit/control/reopen.ts";

const never = new AbortController().signal;
const lost = failedCall(14, "the connection has ended");

/** Messages, then an end: clean, or with a failure. */
async function* script(...steps: readonly (string | Error)[]): AsyncGenerator<string, void> {
  for (const step of steps) {
    if (step instanceof Error) throw step;
    yield step;
  }
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

describe("a stream that lasts", () => {
  it("goes on after a break, and says that it begins anew", async () => {
    const tries = [script("a", lost), script(lost), script("a", "b")];
    let reopens = 0;
    const stream = reopened(() => tries.shift() ?? script(), {
      signal: never,
      deadlineMs: 5_000,
      onReopen: () => void (reopens += 1),
    });
    assert.deepEqual(await all(stream), ["a", "a", "b"]);
    assert.equal(reopens, 2);
  });

  it("ends with what does not pass by itself", async () => {
    const options = { signal: never, deadlineMs: 5_000, onReopen: () => assert.fail() };
    const unknown = failedCall(5, "no such job x");
    await assert.rejects(all(reopened(() => script("a", unknown), options)), unknown);
  });

  it("gives up when nothing came for too long", async () => {
    let tries = 0;
    const open = (): AsyncIterable<string> => {
      tries += 1;
      return script(lost);
    };
    const options = { signal: never, deadlineMs: 250, onReopen: () => undefined };
    await assert.rejects(all(reopened(open, options)), lost);
    assert.ok(tries > 1);
  });

  it("ends at once when the caller aborts, even in a pause", async () => {
    const stop = new AbortController();
    const options = { signal: stop.signal, deadlineMs: 60_000, onReopen: () => assert.fail() };
    const stream = reopened(() => {
      setImmediate(() => stop.abort());
      return script(lost);
    }, options);
    await assert.rejects(all(stream));
  });
});

describe("a stream that may not be silent", () => {
  const silent = async function* (signal: AbortSignal): AsyncGenerator<string, void> {
    yield "a";
    await new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(failedCall(1, "Cancelled on client")));
    });
  };

  it("ends with BuilderSilent when it is", async () => {
    const guard = { what: "The read", signal: never, deadlineMs: 20 };
    const stream = guardedStream(guard, ({ signal }) => silent(signal));
    await assert.rejects(all(stream), {
      class: "Builder",
      reason: "BuilderSilent",
      retryable: true,
    });
  });

  it("lets its reader take as long as it likes", async () => {
    const guard = { what: "The read", signal: never, deadlineMs: 20 };
    const seen: string[] = [];
    for await (const item of guardedStream(guard, () => script("a", "b"))) {
      seen.push(item);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    assert.deepEqual(seen, ["a", "b"]);
  });

  it("is cancelled, not failed, when the caller aborts", async () => {
    const stop = new AbortController();
    const guard = { what: "The read", signal: stop.signal, deadlineMs: 60_000 };
    const stream = guardedStream(guard, ({ signal }) => silent(signal));
    const reading = all(stream);
    setImmediate(() => stop.abort());
    await assert.rejects(reading, { reason: "Cancelled", message: "The read was cancelled." });
  });

  it("fails as the daemon does", async () => {
    const guard = { what: "The read", signal: never, deadlineMs: 60_000 };
    const stream = guardedStream(guard, () => script(lost));
    await assert.rejects(all(stream), { reason: "BuilderLost" });
  });
});

describe("a guarded call", () => {
  it("has its deadline and signal, and tells a failure in our words", async () => {
    const guard = { what: "The call", signal: never, deadlineMs: 5 };
    assert.deepEqual(await guarded(guard, async (limits) => limits), {
      signal: never,
      deadlineMs: 5,
    });
    const open = { what: "The call", signal: never };
    assert.deepEqual(await guarded(open, async (limits) => limits), { signal: never });
    await assert.rejects(
      guarded(guard, () => Promise.reject(lost)),
      { reason: "BuilderLost" },
    );
    const aborted = { ...guard, signal: AbortSignal.abort("enough") };
    await assert.rejects(
      guarded(aborted, () => Promise.reject(lost)),
      { reason: "Cancelled", cause: "enough" },
    );
  });
});

describe("the history as it is told", () => {
  it("has each change once, however often the daemon begins anew", () => {
    const told = new ToldRecords();
    const next = (type: number, generation = 0, pinned = false) =>
      told.next(type, create(BuildHistoryRecordSchema, { ref: "r", generation, pinned }));
    assert.deepEqual(
      [next(0), next(0), next(1, 1), next(1, 1), next(1, 2), next(1, 2, true), next(2), next(1, 1)],
      [
        "started",
        undefined,
        "completed",
        undefined,
        "completed",
        "completed",
        "deleted",
        "completed",
      ],
    );
  });
});
