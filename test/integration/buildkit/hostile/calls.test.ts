// Each call to a daemon that breaks it, in each way: a BuildkitError of a sensible class, in time, nothing left open.
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { type BuildkitClient, parseEndpoint } from "../../../../src/buildkit/index.ts";
import type { CallName } from "./daemon.ts";
import { framed, type DaemonCall } from "./grpc-call.ts";
import {
  against,
  callTimeoutMs,
  daemonsFault,
  leavesNoHandles,
  solve,
  withClient,
} from "./verdict.ts";

const far = (): AbortSignal => AbortSignal.timeout(60_000);

/** What a caller does, and the call at the daemon that goes wrong with it. */
const callers: readonly [CallName, (client: BuildkitClient) => Promise<unknown>][] = [
  ["info", (client) => client.info(far())],
  ["listWorkers", (client) => client.workers(far())],
  ["listenBuildHistory", (client) => client.history("ref", far())],
  ["updateBuildHistory", (client) => client.forget("ref", far())],
  ["read", (client) => client.readBlob(`sha256:${"0".repeat(64)}`, far())],
  ["solve", (client) => solve(client)],
  ["session", (client) => solve(client)],
];

const ok = { ":status": 200, "content-type": "application/grpc" } as const;

/** Answers with these bytes and a good status. */
function bytes(...all: Buffer[]): (call: DaemonCall) => void {
  return ({ stream }) => {
    stream.respond(ok, { waitForTrailers: true });
    stream.once("wantTrailers", () => undefined);
    for (const part of all) stream.write(part);
    stream.end();
  };
}

const faults: readonly [sentence: string, fault: (call: DaemonCall) => void][] = [
  ["stalls", () => undefined],
  ["stalls after the response head", ({ stream }) => stream.respond(ok, { waitForTrailers: true })],
  [
    "stalls in the middle of a message",
    ({ stream }) => {
      stream.respond(ok, { waitForTrailers: true });
      stream.write(framed(Buffer.alloc(1_000)).subarray(0, 100));
    },
  ],
  ["resets the stream", (call) => call.reset()],
  ["refuses the stream", (call) => call.reset(7)],
  ["cancels the stream", (call) => call.reset(8)],
  ["asks for calm", (call) => call.reset(11)],
  [
    "resets the stream after the response head",
    (call) => {
      call.stream.respond(ok, { waitForTrailers: true });
      setImmediate(() => call.reset());
    },
  ],
  ["breaks the connection", ({ stream }) => stream.session?.destroy()],
  ["says GOAWAY with an error and stays", (call) => call.goAway(2)],
  ["says GOAWAY and never ends the call", (call) => call.goAway(0)],
  ["answers trailers only: UNAVAILABLE", (call) => call.end(14, "gone")],
  ["answers trailers only: INTERNAL", (call) => call.end(13, "broken")],
  ["answers trailers only: a status that gRPC does not have", (call) => call.end(99, "?")],
  [
    "answers trailers only: a status that is no number",
    ({ stream }) => stream.respond({ ...ok, "grpc-status": "abc" }, { endStream: true }),
  ],
  [
    "answers a message of a status that is no percent-encoding",
    ({ stream }) =>
      stream.respond({ ...ok, "grpc-status": "13", "grpc-message": "%zz%E2" }, { endStream: true }),
  ],
  [
    "answers a status message of 200 KiB",
    ({ stream }) =>
      stream.respond(
        { ...ok, "grpc-status": "13", "grpc-message": "x".repeat(40_000) },
        { endStream: true },
      ),
  ],
  [
    "answers details that are no base64",
    ({ stream }) =>
      stream.respond(
        { ...ok, "grpc-status": "13", "grpc-status-details-bin": "!!" },
        { endStream: true },
      ),
  ],
  [
    "answers HTML",
    ({ stream }) => {
      stream.respond({ ":status": 200, "content-type": "text/html" });
      stream.end("<html>not here</html>");
    },
  ],
  [
    "answers HTTP 404",
    ({ stream }) => {
      stream.respond({ ":status": 404, "content-type": "text/plain" });
      stream.end("no");
    },
  ],
  ["answers HTTP 503", ({ stream }) => stream.respond({ ":status": 503 }, { endStream: true })],
  ["ends without a status", ({ stream }) => stream.respond(ok, { endStream: true })],
  ["compresses its message", bytes(framed(gzipSync("x"), 1))],
  ["sends a frame flag that does not exist", bytes(framed(Buffer.from("x"), 0x7f))],
  ["announces a message of 4 GiB", bytes(Buffer.from("00ffffffff", "hex"), Buffer.alloc(64))],
  ["announces a message of 17 MiB", bytes(Buffer.from("0001100000", "hex"), Buffer.alloc(64))],
  ["cuts a message off", bytes(framed(Buffer.alloc(1_000)).subarray(0, 100))],
  ["sends bytes that are no protobuf", bytes(framed(Buffer.alloc(32, 0xff)))],
];

describe("a daemon that breaks a call", () => {
  leavesNoHandles();

  for (const [sentence, fault] of faults) {
    it(`${sentence}: every caller fails in time`, async function () {
      this.timeout(120_000);
      await Promise.all(
        callers.map(([name, ask]) =>
          against({ calls: { [name]: fault } }, async (client, daemon) => {
            const error = await daemonsFault(ask(client), callTimeoutMs * 2);
            assert.ok(daemon.arrived(name) > 0, `${name} was not called`);
            assert.notEqual(error.reason, "", name);
            const tooLarge = sentence.startsWith("announces a message");
            assert.ok(tooLarge || error.class !== "User", `${name}: ${error.reason}`);
          }),
        ),
      );
    });
  }

  it("answers every second call: the others succeed on the same connection", async () => {
    let turn = 0;
    await against(
      {
        calls: {
          updateBuildHistory: (call) => {
            turn += 1;
            if (turn % 2 === 1) call.reset();
            else bytes(framed(Buffer.alloc(0)))(call);
          },
        },
      },
      async (client, daemon) => {
        for (let index = 0; index < 20; index += 1) {
          await client.forget("ref", far()).catch(() => undefined);
          assert.equal((await client.info(far())).version, "0.34.2");
        }
        assert.equal(daemon.connections.size, 1);
      },
    );
  });

  it("is not there at all", async () => {
    await withClient(
      parseEndpoint("tcp://127.0.0.1:1"),
      () => 0,
      async (client) => {
        for (const [, ask] of callers) await daemonsFault(ask(client), callTimeoutMs * 2);
      },
    );
  });
});
