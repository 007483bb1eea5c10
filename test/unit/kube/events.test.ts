import assert from "node:assert/strict";
import { pino } from "pino";
import { EventRecorder } from "../../../src/kube/events.ts";
import type { EventNote } from "../../../src/kube/events.ts";
import type { Event } from "../../../src/kube/types.ts";
import { FakeClock, settle } from "../runtime/fake-clock.ts";

/** A recorder whose Events are kept instead of sent. */
function aRecorder(apply: () => Promise<void> = async () => undefined) {
  const clock = new FakeClock();
  const sent: Event[] = [];
  const dropped: string[] = [];
  const client = {
    apply: async (_: unknown, object: unknown): Promise<never> => {
      await apply();
      sent.push(object as Event);
      return object as never;
    },
  };
  const log = pino({ level: "silent" });
  const onDropped = (why: string): void => void dropped.push(why);
  const recorder = new EventRecorder({ client, instance: "test", log, clock, onDropped });
  return { clock, sent, dropped, recorder };
}

const run = (name = "web") => ({
  apiVersion: "kiln.build/v1alpha1",
  kind: "BuildRun",
  metadata: { name, namespace: "shop", uid: `uid-${name}` },
});
const started: EventNote = { type: "Normal", reason: "Started", message: "attempt 1 started" };

describe("EventRecorder", () => {
  it("sends one Event about its object", async () => {
    const { sent, recorder } = aRecorder();
    recorder.event(run(), started);
    await settle();
    assert.equal(sent[0]?.note, "attempt 1 started");
    assert.deepEqual(sent[0]?.regarding, {
      apiVersion: "kiln.build/v1alpha1",
      kind: "BuildRun",
      name: "web",
      namespace: "shop",
      uid: "uid-web",
    });
    assert.match(sent[0]?.eventTime ?? "", /\.\d{6}Z$/);
  });

  it("counts repeats in the same Event, and writes the count now and then", async () => {
    const { clock, sent, recorder } = aRecorder();
    for (let second = 0; second < 65; second += 1) {
      recorder.event(run(), started);
      await clock.advance(1000);
    }
    assert.deepEqual(
      sent.map((e) => e.series?.count),
      [undefined, 31, 61],
    );
    assert.equal(new Set(sent.map((e) => e.metadata.name)).size, 1);
    await recorder.stop(1000);
    assert.equal(sent.at(-1)?.series?.count, 65);
  });

  it("begins a new Event after a pause, and for another message or object", async () => {
    const { clock, sent, recorder } = aRecorder();
    recorder.event(run(), started);
    recorder.event(run(), { ...started, message: "attempt 2 started" });
    recorder.event(run("other"), started);
    await clock.advance(400_000);
    recorder.event(run(), started);
    await settle();
    assert.equal(new Set(sent.map((e) => e.metadata.name)).size, 4);
  });

  it("does not let one object flood, nor hold others up", async () => {
    const { clock, sent, dropped, recorder } = aRecorder();
    for (let n = 0; n < 100; n += 1) recorder.event(run(), { ...started, message: `${n}` });
    recorder.event(run("other"), started);
    await settle();
    assert.deepEqual([sent.length, dropped.length], [26, 75]);
    await clock.advance(300_000);
    recorder.event(run(), { ...started, message: "later" });
    recorder.event(run(), { ...started, message: "too much" });
    await settle();
    assert.equal(sent.length, 27);
  });

  it("keeps at most a thousand waiting", async () => {
    const { dropped, recorder } = aRecorder(() => new Promise(() => undefined));
    for (let n = 0; n < 1200; n += 1) recorder.event(run(`run-${n}`), started);
    // One is under way, a thousand wait.
    assert.equal(dropped.filter((why) => why === "queue").length, 199);
  });

  it("puts Events about cluster-scoped objects where kubectl looks for them", async () => {
    const { sent, recorder } = aRecorder();
    const metadata = { name: "shared", uid: "u" };
    recorder.event(
      { apiVersion: "kiln.build/v1alpha1", kind: "ClusterBuilder", metadata },
      started,
    );
    await settle();
    assert.equal(sent[0]?.metadata.namespace, "default");
  });

  it("cuts a long message between characters", async () => {
    const { sent, recorder } = aRecorder();
    recorder.event(run(), { ...started, message: "é".repeat(600) });
    await settle();
    assert.equal(sent[0]?.note, `${"é".repeat(510)}…`);
  });
});
