// Daemons whose progress is endless, wrong, or keeps breaking: memory stays bounded, and the build's result holds.
import assert from "node:assert/strict";
import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { StatusResponseSchema } from "../../../../src/gen/moby/buildkit/v1/control_pb.ts";
import type { Script } from "./daemon.ts";
import { against, failure, leavesNoHandles, memoryOf, solve } from "./verdict.ts";

type Status = MessageInitShape<typeof StatusResponseSchema>;

const mebibyte = 1024 * 1024;
const vertex = `sha256:${"a".repeat(64)}`;

function time(seconds: number) {
  return { seconds: BigInt(seconds), nanos: 0 };
}

function log(seconds: number, data: Uint8Array<ArrayBuffer>): Status {
  return { logs: [{ vertex, timestamp: time(seconds), stream: 1n, msg: data }] };
}

const anyBatch = "@@@";
const anyThousand = Buffer.from(
  toBinary(
    StatusResponseSchema,
    create(StatusResponseSchema, {
      vertexes: Array.from({ length: 1_000 }, (_, index) => ({
        digest: `sha256:${anyBatch}${String(index).padStart(61, "0")}`,
        name: `step ${anyBatch} ${"n".repeat(100)}`,
      })),
    }),
  ),
).toString("latin1");

/** Encoded by replacement: encoding them all takes longer than what is tested. */
function thousandSteps(batch: number): Buffer {
  const number = String(batch).padStart(anyBatch.length, "0");
  return Buffer.from(anyThousand.replaceAll(anyBatch, number), "latin1");
}

/** A daemon that tells this while it builds. */
function telling(
  statuses: () => Iterable<Status | Uint8Array>,
  ending: "well" | "badly" = "well",
): Script {
  const told = Promise.withResolvers<void>();
  return {
    async progress(tell) {
      try {
        for (const status of statuses()) await tell(status);
      } finally {
        told.resolve();
      }
    },
    async build() {
      await told.promise;
      if (ending === "badly") throw new Error("process did not complete successfully");
      return {};
    },
  };
}

describe("a daemon with too much progress", () => {
  leavesNoHandles();

  it("logs 200 MiB in one step: all of it is told, none of it is kept", async () => {
    const chunk = new Uint8Array(64 * 1024).fill(0x61);
    const count = 200 * 16;
    let bytes = 0;
    const used = await memoryOf(() =>
      against(
        telling(function* () {
          for (let index = 0; index < count; index += 1) yield log(index, chunk);
        }),
        async (client) => {
          const onEvent = (event: { kind: string; data?: Uint8Array }): void => {
            if (event.kind === "log") bytes += event.data?.length ?? 0;
          };
          await solve(client, { onEvent, deadlineMs: 60_000 });
        },
      ),
    );
    assert.equal(bytes, count * chunk.length);
    assert.ok(used < 96 * mebibyte, `${Math.round(used / mebibyte)} MiB`);
  });

  it("logs a line without an end: the tail of a failure is bounded", async () => {
    const chunk = new Uint8Array(mebibyte).fill(0x62);
    const used = await memoryOf(() =>
      against(
        telling(function* () {
          yield { vertexes: [{ digest: vertex, name: "RUN", started: time(1) }] };
          for (let index = 0; index < 100; index += 1) yield log(index, chunk);
          yield {
            vertexes: [
              { digest: vertex, name: "RUN", started: time(1), completed: time(2), error: "no" },
            ],
          };
        }, "badly"),
        async (client) => {
          const error = await failure(solve(client, { deadlineMs: 60_000 }), 60_000);
          const tail = error.logTail.reduce((sum, line) => sum + line.length, 0);
          assert.ok(tail < mebibyte, `${tail} characters`);
        },
      ),
    );
    assert.ok(used < 96 * mebibyte, `${Math.round(used / mebibyte)} MiB`);
  });

  it("names a million steps with long names: memory is bounded", async () => {
    let steps = 0;
    const used = await memoryOf(() =>
      against(
        telling(function* () {
          for (let batch = 0; batch < 1_000; batch += 1) yield thousandSteps(batch);
        }),
        async (client) => {
          const onEvent = (event: { kind: string }): void => {
            if (event.kind === "vertex") steps += 1;
          };
          await solve(client, { onEvent, deadlineMs: 100_000 });
        },
      ),
    );
    assert.equal(steps, 1_000_000);
    assert.ok(used < 192 * mebibyte, `${Math.round(used / mebibyte)} MiB`);
  });

  const oddities: readonly [sentence: string, status: Status][] = [
    ["nothing", {}],
    ["steps without digests", { vertexes: [{}, {}, {}] }],
    ["logs of steps that are not", { logs: [{ vertex: "none", msg: new Uint8Array(9) }] }],
    ["logs of streams that are not", { logs: [{ vertex, stream: -9n, msg: new Uint8Array(9) }] }],
    ["times before all time", { vertexes: [{ digest: vertex, started: time(-9e15) }] }],
    ["times after all time", { vertexes: [{ digest: vertex, completed: time(9e15) }] }],
    [
      "nanoseconds that are too many",
      { logs: [{ vertex, timestamp: { seconds: 1n, nanos: 2e9 } }] },
    ],
    ["logs that are no text", { logs: [{ vertex, msg: new Uint8Array(99).fill(0xff) }] }],
    ["a step that is its own input", { vertexes: [{ digest: vertex, inputs: [vertex] }] }],
    ["progress beyond its total", { statuses: [{ id: "x", vertex, current: 9n, total: 1n }] }],
    ["progress below nothing", { statuses: [{ id: "x", vertex, current: -9n, total: -1n }] }],
    ["warnings of no lines", { warnings: [{ vertex, ranges: [{}], level: 99n }] }],
    [
      "a name that is markup",
      { vertexes: [{ digest: vertex, name: "\u001b]0;x\u0007\u0000__proto__" }] },
    ],
    ["digests like properties", { vertexes: [{ digest: "__proto__" }, { digest: "constructor" }] }],
    ["12 MiB at once", log(1, new Uint8Array(12 * mebibyte))],
  ];
  it("tells odd things: the build ends well", async () => {
    for (const [sentence, status] of oddities) {
      await against(
        telling(() => [status, status]),
        async (client) => void (await solve(client, { deadlineMs: 20_000 })),
      ).catch((error: unknown) => {
        throw new Error(`${sentence}: ${String(error)}`, { cause: error });
      });
    }
  });

  it("breaks the status stream again and again: the build ends well", async () => {
    let streams = 0;
    const enough = Promise.withResolvers<void>();
    const script: Script = {
      calls: {
        status(call) {
          streams += 1;
          if (streams >= 4) enough.resolve();
          if (streams % 2 === 0) call.reset();
          else call.end(14, "gone");
        },
      },
      async build() {
        await enough.promise;
        return { done: "yes" };
      },
    };
    await against(script, async (client) => {
      const result = await solve(client, { deadlineMs: 30_000 });
      assert.equal(result.exporterResponse["done"], "yes");
    });
  });

  it("never ends the status stream after the solve: the build ends in time", async () => {
    const script: Script = { calls: { status: () => undefined }, build: async () => ({ x: "y" }) };
    await against(script, async (client) => {
      const result = await solve(client, { deadlineMs: 30_000 });
      assert.equal(result.exporterResponse["x"], "y");
    });
  });

  it("sends an answer of ten thousand keys: all are there", async () => {
    const response = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, index) => [`k${index}`, "v".repeat(100)]),
    );
    await against({ build: async () => response }, async (client) => {
      const { exporterResponse } = await solve(client, { deadlineMs: 30_000 });
      assert.equal(Object.keys(exporterResponse).length, 10_000);
    });
  });

  it("sends an answer that is no image: the result is what can be read of it", async () => {
    const response = {
      "containerimage.digest": "../../etc/passwd",
      "containerimage.descriptor": "bm90IGpzb24=",
      "image.name": ",,,",
      __proto__: "x",
    };
    await against({ build: async () => response }, async (client) => {
      const attempt = solve(client, { deadlineMs: 30_000 });
      const result = await attempt.catch((error: unknown) => error);
      if (result instanceof Error) await failure(attempt);
    });
  });
});
