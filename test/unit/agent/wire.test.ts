// The two ends of the wire in one process, over a scripted daemon: readers that are slow, cut off or late, errors, and what
// does not travel.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach } from "mocha";
import pino from "pino";
import type { Job, JobEvent } from "../../../src/agent/agent.ts";
import { InProcessAgent } from "../../../src/agent/in-process.ts";
import { Journal } from "../../../src/agent/journal/journal.ts";
import { Sealed } from "../../../src/agent/sealed.ts";
import { type Listener, listen } from "../../../src/agent/wire/listener.ts";
import { create } from "@bufbuild/protobuf";
import { StartRequestSchema } from "../../../src/gen/kiln/agent/v1/agent_pb.ts";
import { jobFromWire, jobToWire } from "../../../src/agent/wire/jobs.ts";
import { RemoteAgent } from "../../../src/agent/wire/remote.ts";
import { agentServer } from "../../../src/agent/wire/server.ts";
import { issueClient, issueServer, newAuthority } from "../../../src/builder/pki/authority.ts";
import type {
  BuildkitClient,
  Endpoint,
  PruneOptions,
  SolveEvent,
  SolveOptions,
  SolveRequest,
  SolveResult,
} from "../../../src/buildkit/index.ts";

const log = pino({ level: "silent" });
const never = new AbortController().signal;
const serverName = "builder-main.shop.builders.kiln.build";
const own: Endpoint = { kind: "unix", path: "/beside/buildkitd.sock" };

/** A daemon whose solve ends when the test says so. Honours nothing else. */
class Script {
  options: SolveOptions | undefined;
  request: SolveRequest | undefined;
  endpoint: Endpoint | undefined;
  readonly end = Promise.withResolvers<SolveResult>();

  connect = (endpoint: Endpoint): BuildkitClient => {
    this.endpoint = endpoint;
    return {
      solve: async (request: SolveRequest, options: SolveOptions) => {
        this.request = request;
        this.options = options;
        return await this.end.promise;
      },
      history: async () => undefined,
      info: async () => ({ version: "0.34.2" }),
      diskUsage: async () => [{ size: 40 }, { size: 2 }],
      prune: async function* (_: AbortSignal, { minFreeSpace }: PruneOptions) {
        yield { size: 7 };
        yield { size: minFreeSpace };
      },
      workers: async () => [
        { id: "w", labels: {}, platforms: ["linux/amd64"], gcPolicy: [], version: "" },
      ],
      close: () => undefined,
    } as unknown as BuildkitClient;
  };

  print(text: string): void {
    const data = Buffer.from(text);
    this.options?.onEvent({ kind: "log", vertex: "a", stream: 1, data, timestamp: new Date(0) });
  }

  vertex(digest: string): void {
    const event: SolveEvent = { kind: "vertex", digest, name: digest, inputs: [], cached: false };
    this.options?.onEvent(event);
  }
}

function aJob(ref: string): Job {
  const request = {
    ref,
    frontend: "dockerfile.v0",
    frontendAttrs: { target: "x" },
    exporters: [{ type: "image", attrs: { name: "a" } }],
    cacheImports: [],
    cacheExports: [],
    definition: Buffer.from([1, 0, 255]),
    frontendInputs: { context: Buffer.from([2]) },
  } as const;
  return {
    ref,
    request,
    materials: new Sealed({
      endpoint: { kind: "unix", path: "/the/controllers/idea" },
      secrets: new Map([["id", Buffer.from("s3cret-c4n4ry")]]),
      logins: new Map([["registry.example", { kind: "basic", username: "u", password: "p" }]]),
      sshKeys: [],
      trees: new Map([["context", new Map([["Dockerfile", Buffer.from("FROM scratch\n")]])]]),
    }),
  };
}

describe("an agent over the wire", () => {
  let folder = "";
  let script: Script;
  let agent: InProcessAgent;
  let remote: RemoteAgent;
  let listener: Listener;
  let again: () => Promise<void>;

  beforeEach(async () => {
    folder = mkdtempSync(path.join(tmpdir(), "kiln-unit-"));
    script = new Script();
    const limits = { segmentBytes: 4_000, jobBytes: 20_000 };
    const journal = new Journal({ folder, log, limits });
    const memory = { maxEntries: 16, maxLogBytes: 1_000 };
    agent = new InProcessAgent({ log, connect: script.connect, journal, limits: memory });
    const client = script.connect(own);
    const authority = await newAuthority(new Date());
    const server = await issueServer(authority, "*.shop.builders.kiln.build", new Date());
    const { ca, certificate: cert, key } = await issueClient(authority, new Date());
    const begin = async (port: number): Promise<void> => {
      const parts = { agent, endpoint: own, client, journal, log, volume: folder, version: "v1" };
      const tls = {
        ca: server.ca,
        cert: server.certificate,
        key: server.key,
        minVersion: "TLSv1.3",
      } as const;
      listener = await listen({ grpc: agentServer(parts), host: "127.0.0.1", port, tls, log });
    };
    await begin(0);
    const { port } = listener;
    again = async () => {
      listener.close(0);
      await begin(port);
    };
    remote = new RemoteAgent({
      kind: "tcp",
      host: "127.0.0.1",
      port,
      tls: { ca, cert, key, serverName },
    });
  });
  afterEach(async () => {
    remote.close();
    listener.close(0);
    await agent.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("gets the job whole, for its own daemon", async () => {
    await remote.start(aJob("u-1"));
    assert.deepEqual(script.endpoint, own);
    const { definition, frontendInputs, ...plain } = aJob("u-1").request;
    const { definition: llb, frontendInputs: inputs, ...rest } = script.request ?? {};
    assert.deepEqual(rest, plain);
    assert.deepEqual([...(llb ?? [])], [...(definition ?? [])]);
    assert.deepEqual(Object.keys(inputs ?? {}), Object.keys(frontendInputs ?? {}));
    assert.deepEqual(
      (await remote.list()).map(({ ref, state }) => [ref, state]),
      [["u-1", "running"]],
    );
    const { running, cacheBytes } = await remote.usage();
    assert.deepEqual([running, cacheBytes], [1, 42]);
    assert.deepEqual((await remote.info()).workers[0]?.platforms, ["linux/amd64"]);
    script.end.resolve({ exporterResponse: {}, imageNames: [] });
  });

  it("gets what is known of registries, as it was", () => {
    const { ref, request } = aJob("u-1");
    const authorities = new Map([["registry.example:5000", "PEM"]]);
    const insecureRegistries = new Set(["plain.example"]);
    const known = { ...aJob("u-1").materials.open(), authorities, insecureRegistries };
    const wire = jobToWire({ ref, request, materials: new Sealed(known) });
    const back = jobFromWire(create(StartRequestSchema, wire), own).materials.open();
    assert.deepEqual(back.authorities, authorities);
    assert.deepEqual(back.insecureRegistries, insecureRegistries);
  });

  it("never waits for a reader that does not read, and tells it what it missed", async () => {
    await remote.start(aJob("u-1"));
    const reading = remote.attach("u-1", 0, never);
    script.vertex("a");
    const first = await reading.next();
    assert.equal((first.value as JobEvent).kind, "solve");
    for (let i = 0; i < 4_000; i++) {
      script.print(`line ${i} of a step that prints a lot\n`);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    script.end.resolve({ exporterResponse: {}, imageNames: [] });
    const rest: JobEvent[] = [];
    for await (const event of reading) rest.push(event);
    assert.equal(rest.at(-1)?.kind, "finished");
    assert.equal(rest.at(-1)?.offset, 4_001);
    let next = 1;
    for (const event of rest) {
      if (event.kind === "gap") next = event.offset + event.dropped;
      else if (event.offset >= next) {
        assert.equal(event.offset, next);
        next += 1;
      } else assert.equal(event.kind === "solve" && event.event.kind, "vertex");
    }
    assert.ok(
      rest.some(({ kind }) => kind === "gap"),
      "20 kB of a longer log are kept",
    );
  }).timeout(20_000);

  it("goes on for a reader whose connection was cut, with every event once", async () => {
    await remote.start(aJob("u-1"));
    const offsets: number[] = [];
    const reading = (async () => {
      for await (const event of remote.attach("u-1", 0, never)) offsets.push(event.offset);
    })();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 5; i++) script.print(`${round} ${i}\n`);
      while (offsets.length < (round + 1) * 5)
        await new Promise((resolve) => setTimeout(resolve, 5));
      await again();
    }
    script.end.resolve({ exporterResponse: {}, imageNames: [] });
    await reading;
    assert.deepEqual(
      offsets,
      Array.from({ length: 16 }, (_, at) => at),
    );
  }).timeout(20_000);

  it("says in a KilnError why it takes no job", async () => {
    assert.deepEqual(await remote.drain(), []);
    await assert.rejects(remote.start(aJob("u-1")), {
      name: "KilnError",
      class: "Builder",
      reason: "Draining",
      retryable: true,
    });
    assert.equal((await remote.info()).draining, true);
  });

  it("loses its running jobs when it is told to cut them, and takes others", async () => {
    await remote.start(aJob("u-1"));
    const reading = remote.attach("u-1", 0, never);
    assert.deepEqual(await remote.cut(), ["u-1"]);
    const events: JobEvent[] = [];
    for await (const event of reading) events.push(event);
    const last = events.at(-1);
    assert.ok(last?.kind === "finished" && last.outcome.kind === "failed");
    const { class: of, reason, retryable } = last.outcome.failure;
    assert.deepEqual([of, reason, retryable], ["Builder", "AttemptLost", true]);
    assert.deepEqual(await remote.cut(), []);
    await remote.start(aJob("u-2"));
    script.end.resolve({ exporterResponse: {}, imageNames: [] });
  });

  it("removes cache until so much is free", async () => {
    // BuildKit is told more, where the disk keeps blocks for root.
    assert.ok((await remote.prune(1_000)) >= 1_007);
  });

  it("that is not there is the builder's trouble, and a reader gives up in time", async () => {
    const { port } = listener;
    listener.close(0);
    const gone = new RemoteAgent(
      { kind: "tcp", host: "127.0.0.1", port, tls: { ca: "", cert: "", key: "", serverName } },
      { patienceMs: 50 },
    );
    await assert.rejects(gone.list(), { reason: "AgentUnreachable", class: "Builder" });
    await assert.rejects(gone.attach("u-1", 0, never).next(), { reason: "AgentUnreachable" });
    gone.close();
  });
});
