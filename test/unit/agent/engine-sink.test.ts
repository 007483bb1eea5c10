// An archive on its way into the Docker engine behind a daemon.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { EngineStore, Materials } from "../../../src/agent/agent.ts";
import { inFormOf } from "../../../src/agent/outputs/engine/format.ts";
import { engineSink } from "../../../src/agent/outputs/engine/sink.ts";
import type { FileFacts } from "../../../src/agent/outputs/places.ts";
import type { SolveRequest } from "../../../src/buildkit/index.ts";
import { KilnError } from "../../../src/errors/index.ts";

type Archive = Awaited<ReturnType<EngineStore["load"]>>;

function opened(archive: Partial<Archive> | undefined) {
  const facts: FileFacts[] = [];
  const failures: unknown[] = [];
  const nothing = { write: async () => undefined, finish: async () => "", abort: () => undefined };
  const engine: EngineStore = {
    takesOci: async () => true,
    load: async () => ({ ...nothing, ...archive }),
  };
  const sink = engineSink({
    exporter: 1,
    type: "docker",
    place: { kind: "engine" },
    materials: (archive === undefined ? {} : { engine }) as Materials,
    signal: AbortSignal.timeout(10_000),
    budget: { left: 0 },
    done: (made) => facts.push(made),
    fail: (error) => failures.push(error),
  })();
  return { sink, facts, failures };
}

describe("an archive for the engine's image store", () => {
  it("arrives whole, and is known by the name that the engine says", async () => {
    const bytes = Buffer.alloc(20 * 1024 * 1024 + 3, "archive");
    const came = createHash("sha256");
    const { sink, facts } = opened({
      write: async (chunk) => void came.update(chunk),
      finish: async () => "shop.example/web:1",
    });
    for (let at = 0; at < bytes.length; at += 1_000_001)
      await sink.write([bytes.subarray(at, at + 1_000_001)]);
    await sink.finish();
    const digest = createHash("sha256").update(bytes).digest("hex");
    assert.equal(came.digest("hex"), digest);
    assert.deepEqual(facts, [
      {
        exporter: 1,
        location: "engine://shop.example/web:1",
        size: bytes.length,
        digest: `sha256:${digest}`,
      },
    ]);
  });

  it("fails in the engine's words, and is said to be nowhere", async () => {
    const why = new KilnError({ class: "Infra", reason: "OutputPlaceFailed", message: "No room." });
    const { sink, facts, failures } = opened({ finish: () => Promise.reject(why) });
    await sink.write([Buffer.from("a")]);
    await assert.rejects(sink.finish(), why);
    assert.deepEqual([facts, failures], [[], [why]]);
  });

  it("is cut off when the build ends before it", async () => {
    let isCut = false;
    const { sink } = opened({ abort: () => (isCut = true) });
    await sink.write([Buffer.alloc(9 * 1024 * 1024)]);
    await sink.abort();
    assert.ok(isCut);
  });

  it("is refused where there is no engine", async () => {
    const { sink, failures } = opened(undefined);
    await assert.rejects(sink.finish(), { reason: "NoEngineToLoad" });
    assert.equal(failures.length, 1);
  });

  it("is an OCI layout where the engine takes one", async () => {
    const plain = { type: "image", attrs: { name: "a" } };
    const loaded = { type: "docker", attrs: { name: "a", dest: '{"kind":"engine"}' } };
    const request = { exporters: [plain, loaded] } as unknown as SolveRequest;
    const store = (oci: boolean) => ({ takesOci: async () => oci }) as unknown as EngineStore;
    const signal = AbortSignal.timeout(10_000);
    assert.deepEqual((await inFormOf(store(true), request, signal)).exporters, [
      plain,
      { type: "oci", attrs: { ...loaded.attrs, "prefer-image-digest": "true" } },
    ]);
    assert.equal(await inFormOf(store(false), request, signal), request);
    assert.equal(await inFormOf(undefined, request, signal), request);
  });
});
