// What a build can die of, told by a real buildkitd: whose failure it is, and whether it is worth repeating.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  connect,
  filesync,
  inMemoryTree,
  type MemoryFile,
  parseEndpoint,
  secretsProvider,
  type BuildkitClient,
} from "../../../src/buildkit/index.ts";
import { solve as solveWith } from "../../../src/buildkit/solve.ts";
import { dial } from "../../../src/buildkit/rpc/dial.ts";
import { followStatus } from "../../../src/buildkit/progress/status.ts";
import { buildkitd, waitFor, type Buildkitd } from "../../cluster/index.ts";
import { proxy } from "./proxy.ts";
import { deadline, failure, printed, solve, type Asked } from "./solving.ts";

const socketOf = (daemon: Buildkitd): string => daemon.address.replace("unix://", "");

describe("a build that fails on a real buildkitd", () => {
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

  const noSecrets = secretsProvider(() => Promise.resolve(undefined));
  const cases: [
    sentence: string,
    dockerfile: string,
    reason: string,
    line: number | undefined,
    asked?: Asked,
  ][] = [
    ["a Dockerfile that does not parse", "FROM busybox\n\nRUNX make\n", "DockerfileInvalid", 3],
    [
      "a stage that is not there",
      "FROM busybox\n",
      "UnknownTarget",
      undefined,
      { attrs: { target: "no" } },
    ],
    [
      "a Dockerfile that is not there",
      "FROM busybox\n",
      "DockerfileNotFound",
      undefined,
      { attrs: { filename: "no" } },
    ],
    [
      "a file that the context does not have",
      "FROM busybox\nCOPY no /\n",
      "ContextFileNotFound",
      2,
    ],
    [
      "an image that no registry has",
      "FROM busybox AS a\nFROM kiln-test/no:1\n",
      "ImageNotFound",
      2,
    ],
    [
      "a platform that the image does not have",
      "FROM --platform=linux/s390x busybox\n",
      "PlatformNotFound",
      1,
    ],
    [
      "a secret that nobody gives",
      "FROM busybox\nRUN --mount=type=secret,id=no,required=true true\n",
      "SecretMissing",
      2,
      { attachables: [noSecrets] },
    ],
    [
      "an SSH key that nobody gives",
      "FROM busybox\nRUN --mount=type=ssh,required=true true\n",
      "SshKeyMissing",
      2,
    ],
    [
      "an exporter that is not there",
      "FROM busybox\n",
      "ExporterUnknown",
      undefined,
      { exporters: [{ type: "no", attrs: {} }] },
    ],
    [
      "an archive that nobody serves",
      "FROM busybox\nADD http://127.0.0.1:1/x.tar /\n",
      "DownloadFailed",
      undefined,
    ],
    ["a registry that nobody serves", "FROM 127.0.0.1:1/x:1\n", "RegistryUnreachable", 1],
  ];
  for (const [sentence, dockerfile, reason, line, asked] of cases) {
    it(`tells of ${sentence}`, async () => {
      const error = await failure(solve(client, dockerfile, asked));
      assert.deepEqual([error.reason, error.source?.line], [reason, line], error.message);
    });
  }

  it("remembers a failure as it was told", async () => {
    const ref = randomUUID();
    const told = await failure(solve(client, "FROM busybox\nRUN exit 9\n", { ref }));
    const { error } = (await client.history(ref, deadline())) ?? {};
    assert.deepEqual(
      [error?.reason, error?.exitCode, error?.source?.line, error?.vertexDigest],
      [told.reason, told.exitCode, told.source?.line, told.vertexDigest],
    );
  });

  it("stops the build on the daemon when it is cancelled", async () => {
    const ref = randomUUID();
    const stop = new AbortController();
    const { seen, onEvent } = printed("running");
    const dockerfile = "FROM busybox\nRUN echo running && sleep 300\n";
    const running = failure(solve(client, dockerfile, { ref, signal: stop.signal, onEvent }));
    await seen;
    stop.abort();
    const error = await running;
    assert.deepEqual([error.reason, error.retryable], ["Cancelled", false]);
    await waitFor(
      "the end of the build on the daemon",
      async () => (await client.history(ref, deadline()))?.active === false || undefined,
      { deadlineMs: 20_000 },
    );
  });

  it("does not begin what is cancelled already", async () => {
    const error = await failure(solve(client, "FROM busybox\n", { signal: AbortSignal.abort() }));
    assert.equal(error.reason, "Cancelled");
  });

  it("forgets a ref when told to, and does not mind doing so twice", async () => {
    const ref = randomUUID();
    await solve(client, "FROM busybox\n", { ref });
    await client.forget(ref, deadline());
    assert.equal(await client.history(ref, deadline()), undefined);
    await client.forget(ref, deadline());
  });

  it("tells progress once over a status stream that breaks", async () => {
    const ref = randomUUID();
    const way = await proxy(socketOf(daemon));
    const watcher = dial(parseEndpoint(`tcp://127.0.0.1:${way.port}`));
    const end = new AbortController();
    let output = "";
    let over = false;
    const lines = Array.from({ length: 12 }, (_, index) => `line ${index}`);
    const dockerfile = "FROM busybox\nRUN for i in $(seq 0 11); do echo line $i; sleep 0.2; done\n";
    try {
      const solving = solve(client, dockerfile, { ref }).finally(() => (over = true));
      const following = followStatus(watcher, {
        ref,
        signal: end.signal,
        solveIsOver: () => over,
        onEvent(event) {
          if (event.kind === "log") output += Buffer.from(event.data).toString();
        },
      });
      for (const line of ["line 2", "line 6"]) {
        await waitFor(line, () => Promise.resolve(output.includes(line) || undefined), {
          deadlineMs: 30_000,
        });
        way.reset();
      }
      await solving;
      await following;
      assert.deepEqual(output.trim().split("\n"), lines);
    } finally {
      end.abort();
      watcher.close();
      await way.stop();
    }
  });

  it("calls a build lost when the way to the daemon breaks", async () => {
    const way = await proxy(socketOf(daemon));
    const remote = connect(parseEndpoint(`tcp://127.0.0.1:${way.port}`));
    try {
      const { seen, onEvent } = printed("running");
      const dockerfile = "FROM busybox\nRUN echo running && sleep 300 # lost\n";
      const running = failure(solve(remote, dockerfile, { onEvent }));
      await seen;
      way.reset();
      const error = await running;
      assert.deepEqual(
        [error.class, error.reason, error.retryable],
        ["Builder", "BuilderLost", true],
      );
    } finally {
      remote.close();
      await way.stop();
    }
  });

  it("notices within 30 s that a daemon has fallen silent", async () => {
    const way = await proxy(socketOf(daemon));
    const remote = connect(parseEndpoint(`tcp://127.0.0.1:${way.port}`));
    try {
      const { seen, onEvent } = printed("running");
      const dockerfile = "FROM busybox\nRUN echo running && sleep 300 # silent\n";
      const signal = AbortSignal.timeout(45_000);
      const running = failure(solve(remote, dockerfile, { onEvent, signal }));
      await seen;
      way.freeze();
      const error = await running;
      assert.deepEqual([error.reason, error.retryable], ["BuilderLost", true], error.message);
    } finally {
      remote.close();
      await way.stop();
    }
  });

  it("answers health checks that allow no miss while a large context is sent", async () => {
    const small = Array.from(
      { length: 20_000 },
      (_, index) => [`d${index % 200}/f${index}`, { data: "x" }] as const,
    );
    const large = [["large", { data: Buffer.alloc(256 * 1024 * 1024, 1) }]] as const;
    const dockerfile = inMemoryTree(
      new Map([["Dockerfile", { data: "FROM busybox\nCOPY . /all\n" }]]),
    );
    const result = await solveWith(
      parseEndpoint(daemon.address),
      {
        ref: randomUUID(),
        frontend: "dockerfile.v0",
        frontendAttrs: {},
        exporters: [],
        cacheImports: [],
        cacheExports: [],
      },
      {
        attachables: [
          filesync({
            dockerfile,
            context: inMemoryTree(new Map<string, MemoryFile>([...small, ...large])),
          }),
        ],
        onEvent: () => undefined,
        signal: deadline(),
        // Milliseconds between checks and for each answer; one miss ends the session (session/grpc.go, v0.34.2).
        sessionHeaders: [["x-buildkit-session-health-custom-timeout", "1000"]],
      },
    );
    assert.deepEqual(result.imageNames, []);
  });
});

describe("a buildkitd that dies", () => {
  it("takes its build with it, and that is worth repeating", async () => {
    const daemon = await buildkitd();
    const client = connect(parseEndpoint(daemon.address));
    try {
      const { seen, onEvent } = printed("running");
      const running = failure(
        solve(client, "FROM busybox\nRUN echo running && sleep 300\n", { onEvent }),
      );
      await seen;
      process.kill(daemon.process.identity.pid, "SIGKILL");
      const error = await running;
      assert.deepEqual([error.class, error.retryable], ["Builder", true], error.message);
    } finally {
      client.close();
      await daemon.stop();
    }
  });

  it("calls a build stopped that a terminating daemon ends", async () => {
    const daemon = await buildkitd();
    const client = connect(parseEndpoint(daemon.address));
    try {
      const { seen, onEvent } = printed("running");
      const running = failure(
        solve(client, "FROM busybox\nRUN echo running && sleep 300\n", { onEvent }),
      );
      await seen;
      const [error] = await Promise.all([running, daemon.stop()]);
      assert.deepEqual(
        [error.class, error.retryable],
        ["Builder", true],
        `${error.reason}: ${error.message}`,
      );
    } finally {
      client.close();
      await daemon.stop();
    }
  });
});
