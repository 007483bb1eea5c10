// The calls beside solve on a real buildkitd: workers, disk, prune, history and its blobs, and following a ref.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  connect,
  filesync,
  inMemoryTree,
  parseEndpoint,
  type BuildkitClient,
  type CacheRecord,
  type ConnectOptions,
  type HistoryEvent,
  type SolveEvent,
} from "../../../src/buildkit/index.ts";
import { buildkitd, waitFor, type Buildkitd } from "../../cluster/index.ts";
import { proxy } from "./proxy.ts";
import { deadline, failure, printed, solve } from "./solving.ts";

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

describe("the control API of a real buildkitd", () => {
  let daemon: Buildkitd;
  let client: BuildkitClient;
  beforeEach(async () => {
    daemon = await buildkitd();
    client = connect(parseEndpoint(daemon.address));
  });
  afterEach(async () => {
    client.close();
    await daemon.stop();
  });

  const unknown = `sha256:${"0".repeat(64)}`;

  it("lists the workers that a filter fits", async () => {
    const [worker] = await client.workers(deadline());
    assert.ok(worker);
    assert.equal((await client.workers(deadline(), [`id==${worker.id}`])).length, 1);
    assert.deepEqual(await client.workers(deadline(), ["id==no"]), []);
    assert.deepEqual(worker.devices, []);
    const error = await failure(client.workers(deadline(), ["(("]));
    assert.equal(error.reason, "FilterInvalid", error.message);
  });

  it("tells what the cache takes up, as buildctl du does, and prunes it in parts", async () => {
    await solve(
      client,
      "FROM busybox\nRUN --mount=type=cache,target=/c echo x > /c/x; echo y > /y\n",
    );
    const records = await client.diskUsage(deadline());
    const { stdout } = await daemon.buildctl(["du", "--format", "{{json .}}"]);
    const told = JSON.parse(stdout.trim().split("\n")[0] ?? "") as
      | { id: string }[]
      | { id: string };
    const ids = [told].flat().map(({ id }) => id);
    assert.ok(
      records.some(({ id }) => ids.includes(id)),
      stdout,
    );
    const mounts = { filters: ["type==exec.cachemount"] };
    const [mount, ...more] = await client.diskUsage(deadline(), mounts);
    assert.deepEqual([mount?.type, more.length], ["exec.cachemount", 0]);
    assert.ok(mount !== undefined && mount.size > 0 && mount.createdAt !== undefined);
    assert.deepEqual(await client.diskUsage(deadline(), { unusedSeconds: 3600 }), []);
    const sizes = records.map(({ size }) => size);
    assert.deepEqual(
      sizes,
      sizes.toSorted((a, b) => a - b),
    );

    assert.deepEqual(await all(client.prune(deadline(), { keepDurationSeconds: 3600 })), []);
    const removed = await waitForRelease(() => all(client.prune(deadline(), mounts)));
    assert.deepEqual(
      removed.map(({ id }) => id),
      [mount.id],
    );
    assert.deepEqual(await client.diskUsage(deadline(), mounts), []);
    assert.ok((await all(client.prune(deadline(), { all: true }))).length > 0);
    assert.deepEqual(await client.diskUsage(deadline()), []);
  });

  /** A build's records are in use until the daemon has let go of its job. */
  async function waitForRelease(prune: () => Promise<CacheRecord[]>): Promise<CacheRecord[]> {
    return waitFor(
      "a record that may be pruned",
      async () => {
        const removed = await prune();
        return removed.length > 0 ? removed : undefined;
      },
      { deadlineMs: 20_000 },
    );
  }

  it("says what is wrong with a filter", async () => {
    for (const ask of [
      () => client.diskUsage(deadline(), { filters: ["(("] }),
      () => all(client.prune(deadline(), { filters: ["(("] })),
      () => client.histories(deadline(), { filters: ["startedAt>never"] }),
      () => client.histories(deadline(), { filters: ["(("] }),
      () => client.histories(deadline(), { limit: -1 }),
    ]) {
      const error = await failure(ask());
      assert.deepEqual([error.class, error.reason], ["User", "FilterInvalid"], error.message);
    }
  });

  it("lists the history by filter and limit, latest first", async () => {
    const refs = [randomUUID(), randomUUID(), randomUUID()];
    for (const ref of refs.slice(0, 2))
      await solve(client, `FROM busybox\nRUN echo ${ref}\n`, { ref });
    await failure(solve(client, "FROM busybox\nRUN false\n", { ref: refs[2] ?? "" }));
    const list = async (options?: Parameters<BuildkitClient["histories"]>[1]) =>
      (await client.histories(deadline(), options)).map(({ ref }) => ref);
    assert.deepEqual(await list(), refs.toReversed());
    assert.deepEqual(await list({ limit: 1 }), [refs[2]]);
    assert.deepEqual(await list({ filters: [`ref==${refs[0]}`] }), [refs[0]]);
    assert.deepEqual(await list({ filters: ["status==error"] }), [refs[2]]);
    assert.deepEqual(
      await list({ filters: ["startedAt>1h", "status==completed"] }),
      refs.toReversed(),
    );
    assert.deepEqual(await list({ filters: ["startedAt<1h"] }), []);
    const [failed] = await client.histories(deadline(), { filters: ["status==error"] });
    assert.equal(failed?.active, false);
    assert.deepEqual([failed.error?.reason, failed.error?.exitCode], ["StepFailed", 1]);
    assert.equal(failed.frontend, "dockerfile.v0");
    assert.deepEqual(await list({ activeOnly: true }), []);
  });

  it("shows what is being solved, and follows it to its end as the one who solves it does", async () => {
    const ref = randomUUID();
    const seen: SolveEvent[] = [];
    const mine: SolveEvent[] = [];
    const { seen: started, onEvent } = printed("one");
    const dockerfile = "FROM busybox\nRUN for i in one two three; do echo $i; sleep 0.3; done\n";
    const solving = solve(client, dockerfile, {
      ref,
      onEvent(event) {
        mine.push(event);
        onEvent(event);
      },
    });
    await started;
    const [active] = await client.histories(deadline(), { activeOnly: true });
    assert.deepEqual([active?.ref, active?.active], [ref, true]);
    const following = client.follow(ref, { signal: deadline(), onEvent: (e) => void seen.push(e) });
    await Promise.all([solving, following]);
    const output = (events: readonly SolveEvent[]): string =>
      events.map((e) => (e.kind === "log" ? Buffer.from(e.data).toString() : "")).join("");
    assert.equal(output(seen), "one\ntwo\nthree\n");
    assert.equal(output(mine), output(seen));
    const later: SolveEvent[] = [];
    await client.follow(ref, { signal: deadline(), onEvent: (e) => void later.push(e) });
    assert.equal(output(later), output(seen), "replayed from the history");
  });

  it("knows no progress of a ref that never was", async () => {
    const options = { signal: deadline(), onEvent: () => undefined };
    const error = await failure(client.follow(randomUUID(), options));
    assert.deepEqual([error.class, error.reason], ["User", "RefNotFound"], error.message);
  });

  it("ends to follow when the caller has enough", async () => {
    const ref = randomUUID();
    const stop = new AbortController();
    const { seen, onEvent } = printed("go");
    const build = new AbortController();
    const solving = failure(
      solve(client, "FROM busybox\nRUN echo go && sleep 300\n", {
        ref,
        signal: build.signal,
        onEvent,
      }),
    );
    await seen;
    const following = failure(
      client.follow(ref, { signal: stop.signal, onEvent: () => stop.abort() }),
    );
    assert.equal((await following).reason, "Cancelled");
    assert.equal((await client.history(ref, deadline()))?.active, true, "the build goes on");
    build.abort();
    await solving;
  });

  it("watches the history over broken connections, each change told once", async () => {
    const way = await proxy(daemon.address.replace("unix://", ""));
    const watcher = connect(parseEndpoint(`tcp://127.0.0.1:${way.port}`));
    const stop = new AbortController();
    const events: HistoryEvent[] = [];
    const refs = [randomUUID(), randomUUID()];
    const [first = "", second = ""] = refs;
    const story = (ref: string): string[] =>
      events.flatMap((event) =>
        event.record.ref === ref ? [`${event.kind}${event.record.pinned ? " pinned" : ""}`] : [],
      );
    const until = (what: string, ref: string, last: string): Promise<unknown> =>
      waitFor(what, async () => story(ref).at(-1) === last || undefined, { deadlineMs: 20_000 });
    const watching = (async () => {
      for await (const event of watcher.watchHistory(stop.signal)) events.push(event);
    })();
    try {
      await solve(client, "FROM busybox\n", { ref: first });
      await until("the end of the first", first, "completed");
      way.reset();
      await solve(client, "FROM scratch\nCOPY Dockerfile /\n", { ref: second });
      await until("the end of the second", second, "completed");
      await client.pin(first, true, deadline());
      await until("the pin", first, "completed pinned");
      way.reset();
      await client.pin(first, false, deadline());
      await until("the unpin", first, "completed");
      await client.forget(first, deadline());
      await until("the end of it", first, "deleted");
      const changes = events
        .filter(({ record }) => record.ref === first)
        .map(({ kind, record }) => `${kind} ${record.generation}`);
      assert.deepEqual(
        changes.filter((change, at) => changes.indexOf(change) !== at),
        [],
      );
    } finally {
      stop.abort();
      await watching;
      watcher.close();
      await way.stop();
    }
  });

  it("pins, unpins, finalizes and forgets a ref", async () => {
    const ref = randomUUID();
    await solve(client, "FROM busybox\nRUN echo pinned\n", { ref });
    const pinned = async (): Promise<boolean | undefined> =>
      (await client.history(ref, deadline()))?.pinned;
    assert.equal(await pinned(), false);
    await client.pin(ref, true, deadline());
    assert.equal(await pinned(), true);
    await client.pin(ref, false, deadline());
    assert.equal(await pinned(), false);
    await client.finalize(ref, deadline());
    assert.match((await client.history(ref, deadline()))?.trace?.digest ?? "", /^sha256:/);
    await client.forget(ref, deadline());
    assert.equal(await client.history(ref, deadline()), undefined);
    const error = await failure(client.pin(randomUUID(), true, deadline()));
    assert.deepEqual([error.class, error.reason], ["User", "RefNotFound"], error.message);
  });

  it("leaves no record of an internal build", async () => {
    const ref = randomUUID();
    const tree = inMemoryTree(new Map([["Dockerfile", { data: "FROM busybox\n" }]]));
    await client.solve(
      {
        ref,
        frontend: "dockerfile.v0",
        frontendAttrs: {},
        exporters: [],
        cacheImports: [],
        cacheExports: [],
        internal: true,
      },
      {
        attachables: [filesync({ dockerfile: tree, context: tree })],
        onEvent: () => undefined,
        signal: deadline(),
      },
    );
    assert.equal(await client.history(ref, deadline()), undefined);
  });

  it("reads blobs whole, in parts and as streams", async () => {
    const ref = randomUUID();
    await solve(client, "FROM busybox\nRUN seq 1 20000\n", { ref });
    const record = await client.history(ref, deadline());
    const logs = record?.logs;
    assert.ok(logs);
    const info = await client.blobInfo(logs.digest, deadline());
    assert.deepEqual([info.digest, info.size], [logs.digest, logs.size]);
    const whole = await client.readBlob(logs.digest, deadline());
    assert.equal(whole.length, logs.size);
    const part = await client.readBlob(logs.digest, deadline(), { offset: 10, size: 100 });
    assert.ok(part.equals(whole.subarray(10, 110)));
    const chunks = await all(client.streamBlob(logs.digest, deadline(), { offset: 5 }));
    assert.ok(Buffer.concat(chunks).equals(whole.subarray(5)));
    for (const ask of [
      () => client.readBlob(unknown, deadline()),
      () => client.blobInfo(unknown, deadline()),
      () => all(client.streamBlob(unknown, deadline())),
    ]) {
      const error = await failure(ask());
      assert.deepEqual([error.class, error.reason], ["User", "BlobNotFound"], error.message);
    }
  });

  it("takes a request of nearly 16 MiB, and says so when it has more", async () => {
    const arg = (bytes: number): Record<string, string> => ({ "build-arg:BIG": "x".repeat(bytes) });
    await solve(client, "FROM busybox\n", { attrs: arg(15_000_000) });
    const error = await failure(solve(client, "FROM busybox\n", { attrs: arg(17_000_000) }));
    assert.deepEqual([error.class, error.reason], ["User", "MessageTooLarge"], error.message);
  });

  type Ask = (client: BuildkitClient, signal: AbortSignal) => Promise<unknown>;
  const calls: [name: string, ask: Ask][] = [
    ["info", (to, signal) => to.info(signal)],
    ["workers", (to, signal) => to.workers(signal)],
    ["diskUsage", (to, signal) => to.diskUsage(signal)],
    ["prune", (to, signal) => all(to.prune(signal))],
    ["history", (to, signal) => to.history("r", signal)],
    ["histories", (to, signal) => to.histories(signal)],
    ["pin", (to, signal) => to.pin("r", true, signal)],
    ["finalize", (to, signal) => to.finalize("r", signal)],
    ["forget", (to, signal) => to.forget("r", signal)],
    ["readBlob", (to, signal) => to.readBlob(unknown, signal)],
    ["streamBlob", (to, signal) => all(to.streamBlob(unknown, signal))],
    ["blobInfo", (to, signal) => to.blobInfo(unknown, signal)],
    ["follow", (to, signal) => to.follow("r", { signal, onEvent: () => undefined })],
  ];

  it("ends every call that was aborted before it began", async () => {
    for (const [name, ask] of calls) {
      const error = await failure(ask(client, AbortSignal.abort()));
      assert.equal(error.reason, "Cancelled", name);
    }
    assert.deepEqual(await all(client.watchHistory(AbortSignal.abort())), []);
  });

  /** A client whose daemon has just fallen silent. */
  async function silenced(timeouts: ConnectOptions, work: (to: BuildkitClient) => Promise<void>) {
    const way = await proxy(daemon.address.replace("unix://", ""));
    const remote = connect(parseEndpoint(`tcp://127.0.0.1:${way.port}`), timeouts);
    try {
      await remote.info(deadline());
      way.freeze();
      await work(remote);
    } finally {
      remote.close();
      await way.stop();
    }
  }

  it("ends every call that is aborted while the daemon is silent", async () => {
    await silenced({}, async (remote) => {
      const stop = new AbortController();
      const ends = calls.map(async ([name, ask]) => {
        assert.equal((await failure(ask(remote, stop.signal))).reason, "Cancelled", name);
      });
      const watch = all(remote.watchHistory(stop.signal));
      setImmediate(() => stop.abort());
      await Promise.all(ends);
      assert.deepEqual(await watch, []);
    });
  });

  it("ends every call at its deadline when the daemon is silent", async () => {
    await silenced({ callTimeoutMs: 500, streamTimeoutMs: 500 }, async (remote) => {
      // What lasts ends when its caller ends it, or with the connection.
      const limited = calls.filter(([name]) => name !== "follow");
      const ends = limited.map(async ([name, ask]) => {
        const error = await failure(ask(remote, deadline()));
        assert.deepEqual([error.reason, error.retryable], ["BuilderSilent", true], name);
      });
      await Promise.all(ends);
    });
  });

  it("tells progress once to one who follows over broken connections", async () => {
    const way = await proxy(daemon.address.replace("unix://", ""));
    const watcher = connect(parseEndpoint(`tcp://127.0.0.1:${way.port}`));
    const ref = randomUUID();
    const { seen: started, onEvent } = printed("line 0");
    const dockerfile = "FROM busybox\nRUN for i in $(seq 0 9); do echo line $i; sleep 0.2; done\n";
    let output = "";
    try {
      const solving = solve(client, dockerfile, { ref, onEvent });
      await started;
      const following = watcher.follow(ref, {
        signal: deadline(),
        onEvent(event) {
          if (event.kind === "log") output += Buffer.from(event.data).toString();
        },
      });
      await waitFor("some progress", async () => output.includes("line 2") || undefined, {
        deadlineMs: 20_000,
      });
      way.reset();
      await Promise.all([solving, following]);
      const lines = Array.from({ length: 10 }, (_, index) => `line ${index}`);
      assert.deepEqual(output.trim().split("\n"), lines);
    } finally {
      watcher.close();
      await way.stop();
    }
  });
});
