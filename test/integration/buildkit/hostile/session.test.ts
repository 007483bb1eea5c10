// Daemons that break the session of a build, drown it, or misuse what it serves.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  authProvider,
  filesync,
  inMemoryTree,
  secretsProvider,
} from "../../../../src/buildkit/index.ts";
import { Auth } from "../../../../src/gen/moby/filesync/v1/auth_pb.ts";
import type { Script } from "./daemon.ts";
import { framed, type DaemonCall } from "./grpc-call.ts";
import {
  flag,
  flood,
  frame,
  frameType,
  grpcHead,
  indexed,
  many,
  preface,
  settings,
  u32,
} from "./raw.ts";
import { bytesMessage, bytesOf, type SessionPeer } from "./session-peer.ts";
import { diffCopyPath } from "./syncing.ts";
import { against, daemonsFault, leavesNoHandles, memoryOf, solve } from "./verdict.ts";

const mebibyte = 1024 * 1024;
const floodBytes = 32 * mebibyte;
const mostMemory = 96 * mebibyte;
const deadlineMs = 1_500;

const forever = (): Promise<never> => new Promise(() => undefined);

describe("a daemon that loses the session of a build", () => {
  leavesNoHandles();

  const losses: readonly [sentence: string, lose: (session: SessionPeer) => void][] = [
    ["resets the Session call", ({ call }) => call.reset()],
    ["cancels the Session call", ({ call }) => call.reset(8)],
    ["ends the Session call with an error", ({ call }) => call.end(14, "gone")],
    ["ends the Session call as if all were well", ({ call }) => call.end()],
    ["closes the connection in the session", ({ http }) => http.close()],
    ["destroys the connection in the session", ({ http }) => http.destroy()],
    ["says GOAWAY in the session", ({ http }) => http.goaway(2)],
    [
      "sends bytes that are no HTTP/2",
      ({ call }) => void call.send(bytesMessage(randomBytes(9_999))),
    ],
    [
      "sends a message that is no BytesMessage",
      ({ call }) => void call.send(Buffer.alloc(9, 0xff)),
    ],
    [
      "sends a message of 20 MiB",
      ({ call }) => void call.send(bytesMessage(Buffer.alloc(20 * mebibyte))),
    ],
    ["breaks the whole connection", ({ call }) => call.stream.session?.destroy()],
    ["says GOAWAY on the whole connection", ({ call }) => call.goAway(2)],
  ];
  it("in any way: the build fails, and can be repeated", async () => {
    // At once: each takes as long as the client waits for the solve to fail by itself.
    const waitMs = 25_000;
    await Promise.all(
      losses.map(([sentence, lose]) => {
        const lost: Script = {
          async build(session) {
            await session.health();
            lose(session);
            return forever();
          },
        };
        return against(lost, async (client) => {
          const error = await daemonsFault(solve(client, { deadlineMs: waitMs }), waitMs);
          assert.equal(error.retryable, true, `${sentence}: ${error.reason} ${error.message}`);
        });
      }),
    );
  });

  it("drops the session and answers all the same: the result holds", async () => {
    const script: Script = {
      async build(session) {
        session.call.reset();
        return { "containerimage.digest": `sha256:${"1".repeat(64)}` };
      },
    };
    await against(script, async (client) => {
      const { digest } = await solve(client);
      assert.equal(digest, `sha256:${"1".repeat(64)}`);
    });
  });
});

describe("a daemon that drowns the session of a build", () => {
  leavesNoHandles();

  const greeting = Buffer.concat([preface, settings()]);
  const request = Buffer.concat([
    Buffer.from([0x83, 0x86, 0x04, diffCopyPath.length]),
    Buffer.from(diffCopyPath),
    Buffer.from([0x01, 1]),
    Buffer.from("x"),
  ]);
  const first = frame(frameType.headers, flag.endHeaders, 1, request);
  const openEach = (count: number): Buffer =>
    Buffer.concat(
      Array.from({ length: count }, (_, index) =>
        frame(frameType.headers, flag.endHeaders, 2 * index + 1, request),
      ),
    );
  const openAndReset = (count: number): Buffer =>
    Buffer.concat(
      Array.from({ length: count }, (_, index) => [
        frame(frameType.headers, flag.endHeaders, 2 * index + 1, request),
        frame(frameType.rstStream, 0, 2 * index + 1, u32(8)),
      ]).flat(),
    );

  const floods: readonly [sentence: string, opening: Buffer, flooding: Buffer][] = [
    ["pings", greeting, many(frame(frameType.ping, 0, 0, Buffer.alloc(8)), 1_000)],
    ["settings", greeting, many(settings({ 4: 65_535 }), 1_000)],
    ["windows", greeting, many(frame(frameType.windowUpdate, 0, 0, u32(1)), 1_000)],
    ["frames of an unknown kind", greeting, many(frame(0x77, 0, 0, Buffer.alloc(100)), 100)],
    ["priorities", greeting, many(frame(frameType.priority, 0, 1, Buffer.alloc(5)), 1_000)],
    ["calls that it never ends", Buffer.concat([greeting, openEach(20_000)]), settings()],
    ["calls that it cancels at once", Buffer.concat([greeting, openAndReset(50_000)]), settings()],
    [
      "a header block that never ends",
      Buffer.concat([greeting, frame(frameType.headers, 0, 1, request)]),
      frame(frameType.continuation, 0, 1, Buffer.alloc(16_000, 0x83)),
    ],
    [
      "headers that grow when they are unpacked",
      Buffer.concat([
        greeting,
        frame(
          frameType.headers,
          flag.endHeaders,
          1,
          Buffer.concat([request, indexed("x", "y".repeat(3_900)), Buffer.alloc(11_000, 0xbe)]),
        ),
      ]),
      settings(),
    ],
    [
      "data beyond its window",
      Buffer.concat([greeting, first]),
      frame(frameType.data, 0, 1, Buffer.alloc(16_000)),
    ],
    [
      "frames of no data",
      Buffer.concat([greeting, first]),
      many(frame(frameType.data, 0, 1), 1_000),
    ],
    [
      "a message of 4 GiB",
      Buffer.concat([
        greeting,
        first,
        frame(frameType.data, 0, 1, Buffer.from("00ffffffff", "hex")),
      ]),
      frame(frameType.data, 0, 1, Buffer.alloc(16_000)),
    ],
    ["headers that are no HPACK", greeting, frame(frameType.headers, 4, 1, Buffer.alloc(50, 0xff))],
    ["a preface that is none", Buffer.from("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), settings()],
    ["HTTP/1.1", Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"), Buffer.from("\r\n")],
    ["streams of even numbers", Buffer.concat([greeting, frame(1, 4, 2, request)]), settings()],
    [
      "an answer instead of a call",
      Buffer.concat([greeting, frame(1, 4, 1, grpcHead)]),
      settings(),
    ],
  ];
  for (const [sentence, opening, flooding] of floods) {
    it(`in ${sentence}: the build fails in time, and memory stays bounded`, async () => {
      const drown = (call: DaemonCall): void => {
        const way = bytesOf(call);
        way.on("error", () => undefined);
        way.resume();
        way.write(opening);
        void flood(way, flooding, floodBytes);
      };
      const used = await memoryOf(() =>
        against({ calls: { session: drown } }, async (client) => {
          await daemonsFault(solve(client, { deadlineMs }), deadlineMs);
        }),
      );
      assert.ok(used < mostMemory, `${Math.round(used / mebibyte)} MiB`);
    });
  }

  it("never reads it: what is sent stays in its windows", async () => {
    const context = inMemoryTree(new Map([["large", { data: Buffer.alloc(300 * mebibyte, 7) }]]));
    const ask = Buffer.concat([
      greeting,
      settings({ 4: 0x7fffffff }),
      frame(frameType.windowUpdate, 0, 0, u32(0x7fff0000 - 65_535)),
      frame(
        frameType.headers,
        flag.endHeaders,
        1,
        Buffer.concat([
          Buffer.from([0x83, 0x86, 0x04, diffCopyPath.length]),
          Buffer.from(diffCopyPath),
          indexed("dir-name", "context"),
          indexed("content-type", "application/grpc"),
        ]),
      ),
      // REQ of the only entry.
      frame(frameType.data, 0, 1, framed(Buffer.from("0801", "hex"))),
    ]);
    const hold = (call: DaemonCall): void => {
      const way = bytesOf(call);
      way.on("error", () => undefined);
      way.write(ask);
      call.stream.pause();
    };
    const used = await memoryOf(() =>
      against({ calls: { session: hold } }, async (client) => {
        const attachables = [filesync({ context })];
        await daemonsFault(solve(client, { attachables, deadlineMs }), deadlineMs);
      }),
    );
    assert.ok(used < mostMemory, `${Math.round(used / mebibyte)} MiB`);
  });
});

describe("a daemon that misuses what a session serves", () => {
  leavesNoHandles();

  const tree = inMemoryTree(new Map([["Dockerfile", { data: "FROM scratch\n" }]]));
  const login = { kind: "basic", username: "me", password: "hush-hush" } as const;
  const attachables = () => [
    filesync({ context: tree, dockerfile: tree }),
    authProvider(new Map([["registry.example", login]]), { scopedTokens: false }),
    secretsProvider(async (id) => (id === "known" ? Buffer.from("s3cret") : undefined)),
  ];
  /** Runs a build that does this; then the session must still be well, and the build a success. */
  const during = (misuse: (session: SessionPeer) => Promise<void>): Promise<void> => {
    let failed: unknown;
    const script: Script = {
      async build(session) {
        // What the test asserts must reach the test, not the client.
        await misuse(session).catch((error: unknown) => (failed = error));
        await session.health().catch((error: unknown) => (failed ??= error));
        return {};
      },
    };
    return against(script, async (client) => {
      await solve(client, { attachables: attachables(), deadlineMs: 20_000 });
      if (failed !== undefined) throw failed;
    });
  };

  const paths = [
    diffCopyPath,
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.filesync.v1.Auth/FetchToken",
    "/moby.filesync.v1.Auth/GetTokenAuthority",
    "/moby.filesync.v1.Auth/VerifyTokenAuthority",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/grpc.health.v1.Health/Check",
  ];
  const bodies: readonly [sentence: string, bytes: Buffer][] = [
    ["nothing", Buffer.alloc(0)],
    ["half a frame head", Buffer.from([0, 0, 0])],
    ["half a message", framed(Buffer.alloc(1_000)).subarray(0, 500)],
    ["a compressed message", framed(Buffer.from("x"), 1)],
    ["a message of 4 GiB", Buffer.from("00ffffffff", "hex")],
    ["a message that is no protobuf", framed(Buffer.alloc(64, 0xff))],
    ["many messages", many(framed(Buffer.alloc(0)), 10_000)],
    ["random bytes", randomBytes(100_000)],
  ];
  for (const [sentence, bytes] of bodies) {
    it(`sends ${sentence} to each method, and the session lives on`, () =>
      during(async (session) => {
        for (const path of paths) {
          const call = session.open(path, { "dir-name": "context" });
          call.stream.end(bytes);
          await call.answer;
          await session.health();
        }
      }));
  }

  it("calls what is not there: each call is UNIMPLEMENTED", () =>
    during(async (session) => {
      for (const path of [
        "/",
        "/x",
        "/moby.filesync.v1.FileSync/diffcopy",
        "/moby.filesync.v1.FileSync/constructor",
        "/__proto__",
        "/constructor",
        "//",
        `/${"x".repeat(4_000)}`,
        "/moby.sshforward.v1.SSH/ForwardAgent",
      ]) {
        const { status } = await session.unary(path, Buffer.alloc(0));
        assert.equal(status, 12, path);
      }
    }));

  it("calls with odd methods and content types, and is answered or refused", () =>
    during(async (session) => {
      for (const odd of [
        { ":method": "GET" },
        { "content-type": "application/json" },
        { "content-type": "text/plain" },
        { "grpc-encoding": "gzip" },
        { "grpc-timeout": "1n" },
        { "grpc-timeout": "99999999H" },
        { "grpc-timeout": "soon" },
        { te: "trailers" },
      ]) {
        for (const path of paths) {
          try {
            const call = session.open(path, odd);
            call.stream.end(framed(Buffer.alloc(0)));
            await call.answer;
          } catch (error) {
            // Node's client itself refuses some of these.
            assert.ok(error instanceof TypeError, String(error));
          }
        }
      }
    }));

  it("asks for the logins of hosts that nobody named, and gets none", () =>
    during(async (session) => {
      for (const host of [
        "evil.example",
        "registry.example.evil.example",
        "evil.example/registry.example",
        "registry.example@evil.example",
        "",
        "__proto__",
        "*",
        "https://evil.example",
        "\0registry.example",
        "x".repeat(100_000),
      ]) {
        const answer = await session.ask(Auth.method.credentials, { host });
        assert.deepEqual([answer.username, answer.secret], ["", ""], host.slice(0, 40));
      }
      const { secret } = await session.ask(Auth.method.credentials, { host: "registry.example" });
      assert.equal(secret, "hush-hush");
    }));

  it("asks for tokens from servers of its own choice, and gets none", () =>
    during(async (session) => {
      for (const host of ["registry.example", "evil.example"]) {
        const wish = { host, realm: "http://127.0.0.1:1/token", service: "s", scopes: ["x"] };
        await assert.rejects(session.ask(Auth.method.fetchToken, wish), /status (7|14|16)/);
      }
    }));

  it("asks for secrets that nobody gave, and gets none", () =>
    during(async (session) => {
      const path = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
      for (const id of ["", "other", "__proto__", "../known", "known\0"]) {
        const name = Buffer.from(id);
        const { status, messages } = await session.unary(
          path,
          Buffer.concat([Buffer.from([0x0a, name.length]), name]),
        );
        assert.deepEqual([status, messages.length], [5, 0], id);
      }
    }));

  it("opens many calls at once and leaves them: each ends with the build", () =>
    during(async (session) => {
      const calls = Array.from({ length: 200 }, () =>
        session.open(diffCopyPath, { "dir-name": "context" }),
      );
      await session.health();
      for (const call of calls) call.leave();
      await Promise.all(calls.map(({ answer }) => answer));
    }));
});
