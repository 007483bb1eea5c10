// The log on disk: what was written is read again, whatever was cut off; what is dropped is said; a restart loses nothing.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterEach, beforeEach } from "mocha";
import pino from "pino";
import type { JobEvent, JobOutcome } from "../../../src/agent/agent.ts";
import { EventLog } from "../../../src/agent/events/event-log.ts";
import { frameOf, framesOf } from "../../../src/agent/journal/frames.ts";
import { Journal, type JournalLimits } from "../../../src/agent/journal/journal.ts";
import { fromWire, toWire } from "../../../src/agent/wire/events.ts";
import { encode } from "../../../src/agent/wire/service.ts";
import type { SolveEvent } from "../../../src/buildkit/index.ts";
import { JobEventSchema } from "../../../src/gen/kiln/agent/v1/agent_pb.ts";

const log = pino({ level: "silent" });
const never = new AbortController().signal;
const succeeded: JobOutcome = {
  kind: "succeeded",
  facts: { images: [], baseImages: [] },
  finishedAt: "2026-03-01T12:00:00Z",
};
const header = { ref: "u-1", startedAt: "2026-03-01T11:00:00Z", context: "https://git.example/a" };

function vertex(digest: string, cached = false): SolveEvent {
  return { kind: "vertex", digest, name: `step ${digest}`, inputs: [], cached };
}

function output(text: string): SolveEvent {
  const data = Buffer.from(text);
  return { kind: "log", vertex: "a", stream: 1, data, timestamp: new Date(0) };
}

async function all(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  const list: JobEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}

describe("frames on disk", () => {
  it("are read back, and cut anywhere they give a prefix", () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
    fc.assert(
      fc.property(payloads, fc.nat(), (list, cut) => {
        const file = Buffer.concat(list.map((payload) => frameOf("event", payload)));
        const read = [...framesOf(file.subarray(0, cut % (file.byteLength + 1)))];
        assert.ok(read.length <= list.length);
        for (const [at, { payload }] of read.entries())
          assert.deepEqual([...payload], [...(list[at] ?? [])]);
        assert.equal([...framesOf(file)].length, list.length);
      }),
    );
  });

  it("end at the first that is damaged", () => {
    const file = Buffer.concat(
      ["one", "two", "six"].map((text) => frameOf("event", Buffer.from(text))),
    );
    file.writeUInt8(file.readUInt8(22) ^ 1, 22);
    assert.deepEqual(
      [...framesOf(file)].map(({ payload }) => payload.toString()),
      ["one"],
    );
  });
});

describe("events on the wire", () => {
  const when = new Date("2026-03-01T12:00:00.123Z");
  const events: JobEvent[] = [
    { kind: "gap", offset: 3, dropped: 7 },
    { kind: "finished", offset: 4, outcome: succeeded },
    {
      kind: "solve",
      offset: 5,
      event: { ...vertex("a", true), started: when, completed: when } as SolveEvent,
    },
    { kind: "solve", offset: 6, event: { ...vertex("b"), error: "broken" } as SolveEvent },
    {
      kind: "solve",
      offset: 7,
      event: {
        kind: "progress",
        vertex: "a",
        id: "x",
        name: "pull",
        current: 3,
        total: 9,
        started: when,
      },
    },
    { kind: "solve", offset: 8, event: { ...output("text"), timestamp: when } as SolveEvent },
    {
      kind: "solve",
      offset: 9,
      event: {
        kind: "warning",
        vertex: "a",
        level: 1,
        short: "old syntax",
        detail: ["use the new one"],
        url: "https://docs.example",
        source: { path: "Dockerfile", line: 1, endLine: 2 },
      },
    },
  ];

  it("come out as they went in", () => {
    for (const event of events) {
      const read = fromWire(fromBinary(JobEventSchema, encode(JobEventSchema, toWire(event))));
      assert.deepEqual(plain(read), plain(event));
    }
  });

  it("of a later version are passed over", () => {
    assert.equal(fromWire(fromBinary(JobEventSchema, Buffer.from([0x08, 0x01]))), undefined);
  });

  const plain = (event: JobEvent | undefined): unknown =>
    JSON.parse(
      JSON.stringify(event, (_, value: unknown) =>
        value instanceof Uint8Array ? [...value] : value,
      ),
    );
});

describe("the journal", () => {
  let folder = "";
  beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), "kiln-unit-"))));
  afterEach(async () => {
    for (const journal of journals.splice(0)) await journal.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const journals: Journal[] = [];
  const small: Partial<JournalLimits> = { segmentBytes: 400, jobBytes: 2_000 };
  const open = (limits: Partial<JournalLimits> = {}): Journal => {
    const journal = new Journal({ folder, log, limits });
    journals.push(journal);
    return journal;
  };
  const memory = { maxEntries: 4, maxLogBytes: 64 };

  it("gives a late reader from disk what memory has dropped", async () => {
    const journal = open();
    const events = new EventLog({ limits: memory, older: journal.begin(header) });
    events.append(vertex("a"));
    for (let i = 0; i < 100; i++) events.append(output(`line-${i}\n`));
    events.finish(succeeded);
    const read = await all(events.read(0, never));
    assert.deepEqual(
      read.map(({ kind, offset }) => `${kind} ${offset}`),
      [...Array.from({ length: 101 }, (_, i) => `solve ${i}`), "finished 101"],
    );
  });

  it("drops the oldest first, says so, and repeats what every vertex last said", async () => {
    const journal = open(small);
    const events = new EventLog({ limits: memory, older: journal.begin(header) });
    for (const digest of ["a", "b"]) events.append(vertex(digest));
    events.append(vertex("a", true));
    for (let i = 0; i < 200; i++) {
      events.append(output(`line-${i}\n`));
      if (i % 10 === 0) await journal.close();
    }
    events.finish(succeeded);
    const [gap, ...rest] = await all(events.read(0, never));
    assert.ok(gap?.kind === "gap" && gap.offset === 0 && gap.dropped > 0, JSON.stringify(gap));
    const repeated = rest.filter(({ offset }) => offset === gap.dropped - 1);
    assert.deepEqual(
      repeated.map(
        (one) => one.kind === "solve" && one.event.kind === "vertex" && one.event.cached,
      ),
      [true, false],
    );
    const offsets = rest.slice(repeated.length).map(({ offset }) => offset);
    assert.deepEqual(
      offsets,
      offsets.map((_, at) => gap.dropped + at),
    );
    assert.equal(rest.at(-1)?.kind, "finished");
    assert.ok(journal.bytes <= 2_000 + 1_000, String(journal.bytes));
  });

  it("restores outcomes and events, and cuts what a crash left half-written", async () => {
    const first = open();
    const done = new EventLog({ older: first.begin(header) });
    done.append(vertex("a"));
    done.append(output("text"));
    done.finish(succeeded);
    const cut = new EventLog({ older: first.begin({ ...header, ref: "u-2" }) });
    cut.append(vertex("b"));
    await first.close();
    cut.append(output("half of it"));
    await first.close();
    const file = path.join(folder, "job-u-2", readdirSync(path.join(folder, "job-u-2"))[0] ?? "");
    truncateSync(file, 150);
    writeFileSync(path.join(folder, "stray"), "");
    const restored = (await open().restore()).toSorted((a, b) =>
      a.header.ref < b.header.ref ? -1 : 1,
    );
    assert.deepEqual(
      restored.map(({ header: { ref, context }, outcome, vertices }) => [
        ref,
        context,
        outcome?.kind,
        [...vertices.keys()],
      ]),
      [
        ["u-1", header.context, "succeeded", ["a"]],
        ["u-2", header.context, undefined, ["b"]],
      ],
    );
    const [one] = restored;
    assert.ok(one);
    const again = new EventLog({ older: one.events, resumed: one });
    assert.deepEqual(
      (await all(again.read(1, never))).map(({ kind, offset }) => [kind, offset]),
      [
        ["solve", 1],
        ["finished", 2],
      ],
    );
    assert.ok(!readdirSync(folder).includes("stray"));
  });

  it("goes on with a gap where a job is resumed, so that no offset means two events", async () => {
    const first = open();
    const before = new EventLog({ older: first.begin(header) });
    for (const digest of ["a", "b"]) before.append(vertex(digest));
    await first.close();
    const [one] = await open().restore();
    assert.ok(one);
    const nextOffset = one.nextOffset + 100;
    const events = new EventLog({ older: one.events, resumed: { ...one, nextOffset } });
    events.finish(succeeded);
    // This reader had seen three events more than the disk got.
    const read = await all(events.read(5, never));
    assert.deepEqual(
      read.map(({ kind, offset }) => [kind, offset]),
      [
        ["gap", 5],
        ["solve", 101],
        ["solve", 101],
        ["finished", 102],
      ],
    );
  });

  it("removes a job's folder, keeps to its total, and never fails a build when the disk does", async () => {
    const journal = open({ ...small, totalBytes: 3_000, jobBytes: 100_000 });
    const logs = [1, 2, 3].map((n) => {
      const disk = journal.begin({ ...header, ref: `u-${n}` });
      return { disk, events: new EventLog({ older: disk }) };
    });
    for (let i = 0; i < 60; i++) {
      for (const { events } of logs) events.append(output(`line-${i}\n`));
      if (i % 5 === 0) await journal.close();
    }
    await journal.close();
    assert.ok(journal.bytes < 3_000 + 3 * 600, String(journal.bytes));
    for (const { disk } of logs) await journal.remove(disk);
    assert.deepEqual(readdirSync(folder), []);
    assert.equal(journal.bytes, 0);
    writeFileSync(path.join(folder, "job-u-9"), "a file where the folder should be");
    const events = new EventLog({ older: journal.begin({ ...header, ref: "u-9" }) });
    events.append(vertex("a"));
    await journal.close();
    events.finish(succeeded);
    assert.equal((await all(events.read(0, never))).length, 2);
  });
});
