import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { StatusResponseSchema } from "../../../../src/gen/moby/buildkit/v1/control_pb.ts";
import { eventsOf, type LogEvent } from "../../../../src/buildkit/progress/events.ts";
import { Transcript } from "../../../../src/buildkit/progress/transcript.ts";

const events = (status: MessageInitShape<typeof StatusResponseSchema>) =>
  eventsOf(create(StatusResponseSchema, status));

function log(text: string, time = 0, stream: 1 | 2 = 1): LogEvent {
  return { kind: "log", vertex: "v", stream, data: Buffer.from(text), timestamp: new Date(time) };
}

describe("status messages", () => {
  it("puts a step before its output", () => {
    const kinds = events({
      logs: [{ vertex: "v", stream: 1n, msg: Buffer.from("x") }],
      vertexes: [{ digest: "v", name: "RUN x" }],
      statuses: [{ vertex: "v", id: "extracting" }],
      warnings: [{ vertex: "v" }],
    }).map(({ kind }) => kind);
    assert.deepEqual(kinds, ["vertex", "progress", "log", "warning"]);
  });

  it("leaves out what is not known", () => {
    assert.deepEqual(
      events({ vertexes: [{ digest: "v", name: "n", inputs: ["i"], cached: true }] }),
      [{ kind: "vertex", digest: "v", name: "n", inputs: ["i"], cached: true }],
    );
  });

  it("keeps times to the millisecond", () => {
    const [event] = events({
      vertexes: [{ digest: "v", started: timestampFromMs(1500), completed: timestampFromMs(2500) }],
    });
    assert.ok(event?.kind === "vertex");
    assert.deepEqual([event.started?.getTime(), event.completed?.getTime()], [1500, 2500]);
  });

  it("decodes a warning with its place", () => {
    const [event] = events({
      warnings: [
        {
          vertex: "v",
          level: 1n,
          short: Buffer.from("Bad: é"),
          detail: [Buffer.from("more")],
          url: "https://docs.example",
          info: { filename: "Dockerfile" },
          ranges: [{ start: { line: 3 }, end: { line: 4 } }],
        },
      ],
    });
    assert.deepEqual(event, {
      kind: "warning",
      vertex: "v",
      level: 1,
      short: "Bad: é",
      detail: ["more"],
      url: "https://docs.example",
      source: { path: "Dockerfile", line: 3, endLine: 4 },
      file: {
        path: "Dockerfile",
        language: "",
        data: new Uint8Array(),
        ranges: [{ start: { line: 3, character: 0 }, end: { line: 4, character: 0 } }],
      },
    });
  });

  it("takes any stream but 2 for stdout", () => {
    const streams = events({ logs: [{ stream: 1n }, { stream: 2n }, { stream: 0n }] });
    assert.deepEqual(
      streams.map((event) => event.kind === "log" && event.stream),
      [1, 2, 1],
    );
  });
});

describe("a transcript", () => {
  it("keeps the last 30 lines", () => {
    const transcript = new Transcript();
    for (let line = 0; line < 100; line++) transcript.add(log(`line ${line}\n`));
    const tail = transcript.tail("v");
    assert.deepEqual([tail.length, tail[0], tail.at(-1)], [30, "line 70", "line 99"]);
  });

  it("joins lines and characters over chunks", () => {
    const transcript = new Transcript();
    const bytes = Buffer.from("one é two\r\nthree");
    for (const byte of bytes) transcript.add({ ...log(""), data: Uint8Array.of(byte) });
    assert.deepEqual(transcript.tail("v"), ["one é two", "three"]);
  });

  it("stays small whatever is printed", () => {
    const transcript = new Transcript();
    for (let chunk = 0; chunk < 200; chunk++) transcript.add(log("x".repeat(50_000)));
    assert.ok(transcript.tail("v").join("\n").length <= 16 * 1024);
  });

  it("knows the one step that failed, and none of several", () => {
    const transcript = new Transcript();
    const vertex = { kind: "vertex", name: "n", inputs: [], cached: false } as const;
    transcript.add({ ...vertex, digest: "a", error: "boom" });
    transcript.add({ ...vertex, digest: "c", error: "context canceled" });
    assert.equal(transcript.failed(), "a");
    transcript.add({ ...vertex, digest: "b", error: "boom" });
    assert.equal(transcript.failed(), undefined);
  });
});
