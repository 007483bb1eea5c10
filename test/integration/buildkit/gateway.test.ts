// Builds whose frontend is a callback of ours, on a real buildkitd: what it may ask, and how such a build ends.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  type BuildCallback,
  connect,
  type Gateway,
  type GatewayRef,
  type GatewayResult,
  parseEndpoint,
  type BuildkitClient,
  type SolveEvent,
} from "../../../src/buildkit/index.ts";
import { KilnError } from "../../../src/errors/index.ts";
import { buildkitd, waitFor, type Buildkitd } from "../../cluster/index.ts";
import { proxy } from "./proxy.ts";
import { type AskedBuild, build as buildWith, deadline, failure, printed } from "./solving.ts";

describe("a build through the gateway of a real buildkitd", () => {
  let daemon: Buildkitd;
  let client: BuildkitClient;
  before(async () => {
    daemon = await buildkitd();
    client = connect(parseEndpoint(daemon.address));
  });
  after(async () => {
    client.close();
    await daemon.stop();
  });

  const build = (dockerfile: string, run: BuildCallback, asked?: AskedBuild) =>
    buildWith(client, dockerfile, run, asked);

  const dockerfileSolve = { frontend: "dockerfile.v0" } as const;

  /** Solves the Dockerfile and hands its one ref to the test. */
  async function solved(gateway: Gateway): Promise<{ result: GatewayResult; ref: GatewayRef }> {
    const result = await gateway.solve(dockerfileSolve);
    assert.ok(result.ref);
    return { result, ref: result.ref };
  }

  it("makes what the callback hands back", async () => {
    const made = await build(
      "FROM busybox\nRUN echo gateway > /made\n",
      async (gateway) => gateway.solve(dockerfileSolve),
      { exporters: [{ type: "image", attrs: {} }] },
    );
    assert.match(made.digest ?? "", /^sha256:[0-9a-f]{64}$/);
  });

  it("makes one image of several platforms from their refs", async () => {
    const made = await build(
      "FROM scratch\nCOPY Dockerfile /\n",
      async (gateway) => {
        const platform = "linux/amd64,linux/arm64";
        const result = await gateway.solve({ ...dockerfileSolve, frontendAttrs: { platform } });
        assert.deepEqual(Object.keys(result.refs ?? {}).toSorted(), ["linux/amd64", "linux/arm64"]);
        return result;
      },
      { exporters: [{ type: "image", attrs: {} }] },
    );
    assert.match(made.descriptor?.mediaType ?? "", /index/);
  });

  it("ends well with nothing", async () => {
    assert.deepEqual((await build("", async () => undefined)).imageNames, []);
  });

  it("knows the daemon's capabilities and workers, the session and the build", async () => {
    const ref = randomUUID();
    await build(
      "",
      async (gateway) => {
        assert.equal(gateway.ref, ref);
        assert.match(gateway.sessionId, /^[0-9a-z]{25}$/);
        assert.ok(gateway.capabilities.gateway("readdir"));
        assert.ok(gateway.capabilities.llb("exporter.multiple"));
        assert.ok(!gateway.capabilities.llb("no.such.thing"));
        assert.ok(gateway.workers[0]?.platforms.includes("linux/amd64"));
        return undefined;
      },
      { ref },
    );
  });

  it("reads files, whole and in part, directories and stats of what was built", async () => {
    const dockerfile =
      "FROM busybox\nRUN mkdir /d && echo -n 0123456789 > /d/a.txt && echo b > /d/b.log && ln -s a.txt /d/l && chmod 4755 /d/a.txt\n";
    await build(dockerfile, async (gateway) => {
      const { ref } = await solved(gateway);
      assert.equal((await gateway.readFile(ref, "/d/a.txt")).toString(), "0123456789");
      const part = await gateway.readFile(ref, "d/a.txt", { offset: 3, length: 4 });
      assert.equal(part.toString(), "3456");
      const names = async (include?: string) =>
        (await gateway.readDir(ref, "/d", include)).map(({ path }) => path);
      assert.deepEqual(await names(), ["a.txt", "b.log", "l"]);
      assert.deepEqual(await names("*.log"), ["b.log"]);
      const stat = await gateway.statFile(ref, "/d/a.txt");
      assert.deepEqual([stat.size, stat.isDirectory, stat.mode & 0o777], [10, false, 0o755]);
      assert.notEqual(stat.mode & 0x00800000, 0, "setuid");
      assert.equal((await gateway.statFile(ref, "/d")).isDirectory, true);
      const link = (await gateway.readDir(ref, "/d")).find(({ path }) => path === "l");
      assert.equal(link?.linkTarget, "a.txt");
      const none = await failure(gateway.readFile(ref, "/none"));
      assert.equal(none.reason, "ContextFileNotFound", none.message);
      return undefined;
    });
  });

  it("reads files near 16 MiB in one message, and refuses more", async () => {
    const dockerfile =
      "FROM busybox\nRUN head -c 16000000 /dev/zero > /big && head -c 18000000 /dev/zero > /bigger\n";
    await build(dockerfile, async (gateway) => {
      const { ref } = await solved(gateway);
      assert.equal((await gateway.readFile(ref, "/big")).length, 16_000_000);
      const error = await failure(gateway.readFile(ref, "/bigger"));
      assert.equal(error.reason, "MessageTooLarge", error.message);
      return undefined;
    });
  });

  it("solves LLB, as part of a build and directly, and hands it to a frontend as its context", async () => {
    let definition: Uint8Array | undefined;
    await build("FROM busybox\nRUN echo from llb > /llb\n", async (gateway) => {
      ({ definition } = (await solved(gateway)).ref);
      assert.ok(definition);
      const again = await gateway.solve({ definition, evaluate: true });
      assert.ok(again.ref);
      assert.equal((await gateway.readFile(again.ref, "/llb")).toString(), "from llb\n");
      const frontendAttrs = { "context:base": "input:base", "frontend.caps": "" };
      const withInput = await gateway.solve({
        ...dockerfileSolve,
        frontendAttrs,
        frontendInputs: { base: definition },
      });
      return withInput;
    });
    assert.ok(definition);
    const direct = await client.solve(
      {
        ref: randomUUID(),
        frontend: "",
        definition,
        frontendAttrs: {},
        exporters: [{ type: "image", attrs: {} }],
        cacheImports: [],
        cacheExports: [],
      },
      { attachables: [], onEvent: () => undefined, signal: deadline() },
    );
    assert.match(direct.digest ?? "", /^sha256:/);
  });

  it("runs the steps of a ref when it is told to, and tells how they fail", async () => {
    const error = await failure(
      build("FROM busybox\nRUN echo evaluated && exit 5\n", async (gateway) => {
        const { ref } = await solved(gateway);
        const inner = await failure(gateway.evaluate(ref));
        assert.equal(inner.exitCode, 5);
        assert.ok((inner.details.solve?.mountIds.length ?? 0) > 0);
        assert.ok("exec" in (inner.details.solve?.op ?? {}));
        throw inner;
      }),
    );
    assert.deepEqual(
      [error.reason, error.exitCode, error.source?.line, error.step],
      ["StepFailed", 5, 2, "[2/2] RUN echo evaluated && exit 5"],
    );
    assert.ok(error.logTail.some((line) => line.includes("evaluated")));
  });

  it("ends with what the callback throws", async () => {
    const thrown = new RangeError("no such flavour");
    const error = await failure(
      build("", () => {
        throw thrown;
      }),
    );
    assert.deepEqual([error.class, error.reason], ["User", "CallbackFailed"]);
    assert.equal(error.cause, thrown);
    assert.match(error.message, /no such flavour/);
  });

  it("keeps the class and reason of a KilnError, and tells the history of it", async () => {
    const ref = randomUUID();
    const thrown = new KilnError({ class: "Policy", reason: "NotToday", message: "Not today." });
    const error = await failure(build("", () => Promise.reject(thrown), { ref }));
    assert.deepEqual([error.class, error.reason], ["Policy", "NotToday"]);
    const record = await client.history(ref, deadline());
    assert.match(record?.error?.message ?? "", /Not today/);
  });

  it("shows a warning to whoever watches", async () => {
    const events: SolveEvent[] = [];
    const ended = build(
      "FROM busybox\nRUN echo warn\n",
      async (gateway) => {
        const { ref } = await solved(gateway);
        await gateway.evaluate(ref);
        const vertex = events.find((event) => event.kind === "vertex");
        assert.ok(vertex?.kind === "vertex");
        await gateway.warn(vertex.digest, {
          short: "mind the gap",
          detail: ["it is wide"],
          url: "https://example.com/gap",
          source: {
            path: "Dockerfile",
            data: Buffer.from("FROM busybox\n"),
            ranges: [{ line: 1, endLine: 1 }],
          },
        });
        return undefined;
      },
      { onEvent: (event) => void events.push(event) },
    );
    await ended;
    const warning = events.find((event) => event.kind === "warning");
    assert.ok(warning?.kind === "warning");
    assert.deepEqual(
      [warning.short, warning.detail, warning.url, warning.source?.line],
      ["mind the gap", ["it is wide"], "https://example.com/gap", 1],
    );
  });

  it("resolves images and other sources without building", async () => {
    await build("", async (gateway) => {
      const { digest, config } = await gateway.resolveImageConfig(
        "docker.io/library/busybox:latest",
        {
          platform: "linux/amd64",
        },
      );
      assert.match(digest, /^sha256:/);
      assert.equal((JSON.parse(config.toString()) as { os: string }).os, "linux");
      const identifier = "docker-image://docker.io/library/busybox:latest";
      const meta = await gateway.resolveSourceMeta({ identifier }, { platform: "linux/amd64" });
      assert.equal(meta.image?.digest, digest);
      const none = await failure(gateway.resolveImageConfig("docker.io/kiln-test/no:1"));
      assert.equal(none.reason, "ImageNotFound", none.message);
      return undefined;
    });
  });

  it("hands out the inputs of the build", async () => {
    let definition: Uint8Array | undefined;
    await build("FROM busybox\n", async (gateway) => {
      ({ definition } = (await solved(gateway)).ref);
      return undefined;
    });
    assert.ok(definition);
    const request = {
      ref: randomUUID(),
      frontendAttrs: {},
      frontendInputs: { base: definition },
      exporters: [],
      cacheImports: [],
      cacheExports: [],
    };
    const options = { attachables: [], onEvent: () => undefined, signal: deadline() };
    await client.build(request, options, async (gateway) => {
      assert.deepEqual(Object.keys(await gateway.inputs()), ["base"]);
      return undefined;
    });
  });

  it("ends both, the callback and the build, when it is cancelled", async () => {
    const ref = randomUUID();
    const stop = new AbortController();
    const { seen, onEvent } = printed("running");
    let inner: Promise<unknown> | undefined;
    const running = failure(
      build(
        "FROM busybox\nRUN echo running && sleep 300\n",
        async (gateway) => {
          const { ref: made } = await solved(gateway);
          inner = failure(gateway.evaluate(made)).then(({ reason }) => reason);
          await inner;
          return undefined;
        },
        { ref, signal: stop.signal, onEvent },
      ),
    );
    await seen;
    stop.abort();
    assert.equal((await running).reason, "Cancelled");
    assert.equal(await inner, "Cancelled");
    await waitFor(
      "the end of the build on the daemon",
      async () => (await client.history(ref, deadline()))?.active === false || undefined,
      { deadlineMs: 20_000 },
    );
  });

  it("fails as the daemon does when it refuses the build before there is a bridge", async () => {
    let called = false;
    const error = await failure(
      build(
        "",
        async () => {
          called = true;
          return undefined;
        },
        { exporters: [{ type: "no", attrs: {} }] },
      ),
    );
    assert.deepEqual([error.reason, called], ["ExporterUnknown", false]);
  });

  it("is not disturbed by a second build of the same ref, which is refused", async () => {
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    const stop = new AbortController();
    const stuck = failure(
      build(
        "",
        async (gateway) => {
          gateway.signal.addEventListener("abort", () => resolve());
          const second = await failure(build("", async () => undefined, { ref: gateway.ref }));
          assert.equal(second.reason, "DuplicateRef");
          stop.abort();
          await aborted;
          throw new Error("aborted");
        },
        { signal: stop.signal },
      ),
    );
    assert.equal((await stuck).reason, "Cancelled");
    await aborted;
  });

  it("fails as the outer solve fails while the callback waits, and aborts it", async () => {
    const ref = randomUUID();
    const own = await buildkitd();
    const other = connect(parseEndpoint(own.address));
    try {
      const request = { ref, frontendAttrs: {}, exporters: [], cacheImports: [], cacheExports: [] };
      const options = { attachables: [], onEvent: () => undefined, signal: deadline() };
      const { promise: aborted, resolve } = Promise.withResolvers<void>();
      const error = await failure(
        other.build(request, options, async ({ signal }) => {
          signal.addEventListener("abort", () => resolve());
          process.kill(own.process.identity.pid, "SIGKILL");
          await aborted;
          throw new Error("aborted");
        }),
      );
      assert.deepEqual([error.class, error.retryable], ["Builder", true], error.message);
      await aborted;
    } finally {
      other.close();
      await own.stop();
    }
  });

  it("fails when the daemon is silent before there is a bridge", async () => {
    const way = await proxy(daemon.address.replace("unix://", ""));
    const remote = connect(parseEndpoint(`tcp://127.0.0.1:${way.port}`), { callTimeoutMs: 500 });
    try {
      way.freeze();
      const ref = randomUUID();
      const request = { ref, frontendAttrs: {}, exporters: [], cacheImports: [], cacheExports: [] };
      const options = { attachables: [], onEvent: () => undefined, signal: deadline() };
      const error = await failure(remote.build(request, options, () => assert.fail()));
      assert.deepEqual([error.reason, error.retryable], ["BuilderSilent", true], error.message);
    } finally {
      remote.close();
      await way.stop();
    }
  });
});
