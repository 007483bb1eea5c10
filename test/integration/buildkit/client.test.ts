// The client alone against a real buildkitd: what it asks, what it serves, and how it fails.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import {
  type Attachable,
  BuildkitError,
  type BuildkitClient,
  connect,
  diskTree,
  filesync,
  inMemoryTree,
  parseEndpoint,
  secretsProvider,
  type SolveEvent,
  type SolveResult,
} from "../../../src/buildkit/index.ts";
import { type Buildkitd, buildkitd, scratch, type Scratch } from "../../cluster/index.ts";

interface Asked {
  readonly ref?: string;
  readonly attrs?: Readonly<Record<string, string>>;
  readonly attachables?: readonly Attachable[];
  readonly files?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: SolveEvent) => void;
}

describe("the BuildKit client on a real buildkitd", () => {
  let daemon: Buildkitd;
  let client: BuildkitClient;
  let place: Scratch;

  before(async () => {
    daemon = await buildkitd();
    client = connect(parseEndpoint(daemon.address));
    place = scratch("client");
  });

  after(async () => {
    client.close();
    await daemon.stop();
    place.remove();
  });

  const deadline = (): AbortSignal => AbortSignal.timeout(60_000);

  async function solve(dockerfile: string, asked: Asked = {}): Promise<SolveResult> {
    const memory = (files: Readonly<Record<string, string>>) =>
      inMemoryTree(new Map(Object.entries(files).map(([name, data]) => [name, { data }])));
    const trees = filesync({
      dockerfile: memory({ Dockerfile: dockerfile }),
      context: memory(asked.files ?? {}),
    });
    return await client.solve(
      {
        ref: asked.ref ?? randomUUID(),
        frontend: "dockerfile.v0",
        frontendAttrs: asked.attrs ?? {},
        exporters: [{ type: "image", attrs: {} }],
        cacheImports: [],
        cacheExports: [],
      },
      {
        attachables: asked.attachables ?? [trees],
        onEvent: asked.onEvent ?? (() => undefined),
        signal: asked.signal ?? deadline(),
      },
    );
  }

  async function failure(attempt: Promise<unknown>): Promise<BuildkitError> {
    const error: unknown = await attempt.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof BuildkitError, String(error));
    return error;
  }

  it("knows the daemon: version, platforms and GC policy", async () => {
    assert.match((await client.info(deadline())).version, /^0\.34\./);
    const [worker] = await client.workers(deadline());
    assert.ok(worker?.platforms.includes("linux/amd64"));
    assert.ok((worker?.gcPolicy.length ?? 0) > 0);
  });

  it("builds files from memory and tells what it does in order", async () => {
    const events: SolveEvent[] = [];
    const result = await solve("FROM busybox\nCOPY a.txt /\nRUN cat /a.txt\n", {
      files: { "a.txt": "from memory\n" },
      onEvent: (event) => void events.push(event),
    });
    assert.match(result.digest ?? "", /^sha256:[0-9a-f]{64}$/);
    const log = events.flatMap((event) => (event.kind === "log" ? [Buffer.from(event.data)] : []));
    assert.match(Buffer.concat(log).toString(), /from memory/);
    const first = events.findIndex((event) => event.kind === "log");
    assert.ok(events.slice(0, first).some((event) => event.kind === "vertex"));
  });

  it("builds a directory on disk by its patterns, commas and links included", async () => {
    const context = path.join(place.folder, "context");
    mkdirSync(path.join(context, "sub, dir"), { recursive: true });
    writeFileSync(path.join(context, "sub, dir", "a, b.txt"), "odd");
    writeFileSync(path.join(context, "skip.log"), "no");
    writeFileSync(path.join(context, ".dockerignore"), "*.log\n");
    const dockerfile =
      'FROM busybox\nCOPY ["sub, dir/a, b.txt", "/x"]\nCOPY . /all\nRUN test -f /x && test ! -e /all/skip.log\n';
    const tree = inMemoryTree(new Map([["Dockerfile", { data: dockerfile }]]));
    const attachables = [filesync({ dockerfile: tree, context: diskTree(context) })];
    await solve("", { attachables });
  });

  it("hands a secret to the step that asks for it", async () => {
    const secrets = secretsProvider(async (id) => (id === "s" ? Buffer.from("hidden") : undefined));
    const dockerfile =
      'FROM busybox\nRUN --mount=type=secret,id=s test "$(cat /run/secrets/s)" = hidden\n';
    const tree = inMemoryTree(new Map([["Dockerfile", { data: dockerfile }]]));
    await solve("", { attachables: [filesync({ dockerfile: tree, context: tree }), secrets] });
  });

  it("decodes a failing step: line, exit code and last words", async () => {
    const error = await failure(solve("FROM busybox\nRUN echo the last words && exit 3\n"));
    assert.deepEqual([error.class, error.reason, error.exitCode], ["User", "StepFailed", 3]);
    assert.equal(error.source?.line, 2);
    assert.ok(error.logTail.some((line) => line.includes("the last words")));
    assert.equal(error.retryable, false);
  });

  it("refuses a ref that is being solved already", async () => {
    const ref = randomUUID();
    const stop = new AbortController();
    const { promise: started, resolve } = Promise.withResolvers<void>();
    const dockerfile = "FROM busybox\nRUN echo go && sleep 60\n";
    const running = solve(dockerfile, {
      ref,
      signal: stop.signal,
      onEvent: (event) => {
        if (event.kind === "log") resolve();
      },
    }).catch((error: unknown) => error);
    await started;
    const second = await failure(solve("FROM busybox\n", { ref }));
    assert.deepEqual([second.class, second.reason], ["Infra", "DuplicateRef"]);
    stop.abort();
    await running;
  });

  it("remembers a finished ref, and knows nothing of another", async () => {
    const ref = randomUUID();
    const { digest } = await solve("FROM busybox\nRUN echo remembered\n", { ref });
    const record = await client.history(ref, deadline());
    assert.equal(record?.active, false);
    assert.ok(JSON.stringify(record).includes(digest ?? "none"));
    assert.equal(await client.history(randomUUID(), deadline()), undefined);
  });

  it("keeps its session alive while the process is busy and files move", async function () {
    this.timeout(120_000);
    const context = path.join(place.folder, "large");
    mkdirSync(context);
    for (let index = 0; index < 8; index += 1) {
      writeFileSync(path.join(context, `f${index}`), Buffer.alloc(256 * 1024, index));
    }
    // BuildKit asks every 5 s and gives up after two answers that do not come.
    const dockerfile = "FROM busybox\nCOPY . /all\nRUN sleep 17\n";
    const tree = inMemoryTree(new Map([["Dockerfile", { data: dockerfile }]]));
    let busy = true;
    const burden = (): void => {
      const until = performance.now() + 200;
      while (performance.now() < until) Math.sqrt(until);
      if (busy) setImmediate(burden);
    };
    burden();
    try {
      await solve("", {
        attachables: [filesync({ dockerfile: tree, context: diskTree(context) })],
      });
    } finally {
      busy = false;
    }
  });

  it("says whose move it is when nobody listens", async () => {
    const nobody = connect(parseEndpoint(`unix://${place.folder}/none.sock`));
    try {
      const error = await failure(nobody.info(deadline()));
      assert.equal(error.class, "Builder");
      assert.equal(error.retryable, true);
    } finally {
      nobody.close();
    }
  });

  it("is used as docs/buildkit-client.md shows", async () => {
    const example = path.join(import.meta.dirname, "../../../examples/library.ts");
    const { stdout } = await promisify(execFile)(process.execPath, [example, daemon.address]);
    assert.match(stdout, /^sha256:[0-9a-f]{64}$/m);
  });
});
