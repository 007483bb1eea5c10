import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  BytesMessageSchema,
  Control,
  InfoResponseSchema,
} from "../../../src/gen/moby/buildkit/v1/control_pb.ts";
import { DuplexBytes } from "../../../src/buildkit/http2/byte-stream.ts";
import { Http2Connection } from "../../../src/buildkit/http2/connection.ts";
import type { StreamSink } from "../../../src/buildkit/http2/stream.ts";
import { buildkitError } from "../../../src/buildkit/errors/errors.ts";
import { callEnd, connectionFailed } from "../../../src/buildkit/rpc/call-error.ts";
import { methodPath, type CallHeaders } from "../../../src/buildkit/rpc/channel.ts";
import { Http2Channel } from "../../../src/buildkit/rpc/http2-channel.ts";
import { Link } from "../../../src/buildkit/rpc/link.ts";
import {
  methodTable,
  SessionError,
  type CallMetadata,
  type MessageStream,
  type StreamMethod,
  type UnaryMethod,
} from "../../../src/buildkit/session/attachable.ts";
import { timeoutMs } from "../../../src/buildkit/session/call.ts";
import { serveSession } from "../../../src/buildkit/session/server.ts";
import { pair } from "./http2/pair.ts";

type Methods = Readonly<Record<string, UnaryMethod | StreamMethod>>;

const infoPath = methodPath(Control.method.info);
const statusPath = methodPath(Control.method.status);
const sessionPath = methodPath(Control.method.session);

/** A channel to a server of these methods, both ours; counts how often it is dialled. */
function channelTo(methods: Methods): {
  readonly channel: Http2Channel;
  readonly dials: () => number;
  readonly cut: () => void;
} {
  let dials = 0;
  let cut = (): void => {};
  const link = new Link({
    authority: "localhost",
    dial: () => {
      dials++;
      const [near, far] = pair();
      const server = serveSession(new DuplexBytes(far), methodTable([{ methods }]));
      cut = () => server.destroy();
      return Promise.resolve(new DuplexBytes(near));
    },
  });
  return { channel: new Http2Channel(link), dials: () => dials, cut: () => cut() };
}

function unary(handle: UnaryMethod["handle"]): UnaryMethod {
  return { kind: "unary", handle };
}

function streaming(handle: (stream: MessageStream) => Promise<void>): StreamMethod {
  return { kind: "stream", handle };
}

const { signal } = new AbortController(); // never aborts: each call ends by itself
const bytes = (data: Uint8Array): Uint8Array =>
  toBinary(BytesMessageSchema, create(BytesMessageSchema, { data: Uint8Array.from(data) }));
const forever = (stream: MessageStream): Promise<void> =>
  new Promise((_resolve, reject) =>
    stream.signal.addEventListener("abort", () => reject(stream.signal.reason as Error)),
  );

describe("a channel over our own HTTP/2", () => {
  it("calls a method, with each repeated header apart", async () => {
    let seen: CallMetadata | undefined;
    const { channel } = channelTo({
      [infoPath]: unary((_request, metadata) => {
        seen = metadata;
        const buildkitVersion = { version: "v1" };
        return Promise.resolve(
          toBinary(InfoResponseSchema, create(InfoResponseSchema, { buildkitVersion })),
        );
      }),
    });
    const headers: CallHeaders = [
      ["k", "a, b"],
      ["k", "c"],
    ];
    const answer = await channel.unary(Control.method.info, {}, { signal, headers });
    assert.equal(answer.buildkitVersion?.version, "v1");
    assert.deepEqual(seen?.get("k"), ["a, b", "c"]);
    channel.close();
  });

  it("carries a message of 16 MiB both ways", async () => {
    const data = Buffer.alloc(16 * 1024 * 1024 - 16, 7);
    const { channel } = channelTo({
      [sessionPath]: streaming(async (stream) => {
        for await (const message of stream.messages) await stream.send(message);
      }),
    });
    const call = channel.bidi(Control.method.session, []);
    void call.send({ data });
    call.end();
    let length = 0;
    for await (const message of call.messages) length = message.data.length;
    assert.equal(length, data.length);
    channel.close();
  });

  it("slows a writer to the pace of its reader", async () => {
    const { promise: read, resolve: goOn } = Promise.withResolvers<void>();
    let got = 0;
    const { channel } = channelTo({
      [sessionPath]: streaming(async (stream) => {
        await read;
        for await (const message of stream.messages)
          got += fromBinary(BytesMessageSchema, message).data.length;
        void stream.send(bytes(Buffer.of(1)));
      }),
    });
    const call = channel.bidi(Control.method.session, []);
    let sent = 0;
    const chunk = Buffer.alloc(256 * 1024);
    for (;;) {
      const full = call.send({ data: chunk });
      sent += chunk.length;
      if (full === undefined) continue;
      const stuck = await Promise.race([
        full.then(() => false),
        new Promise((resolve) => setTimeout(resolve, 300, true)),
      ]);
      if (stuck === true) break;
    }
    assert.ok(sent <= 20 * 1024 * 1024, `${sent} bytes were taken`);
    goOn();
    call.end();
    for await (const _ of call.messages);
    assert.equal(got, sent);
    channel.close();
  });

  it("streams answers, and cancels when the reader leaves", async () => {
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    const { channel } = channelTo({
      [statusPath]: streaming(async (stream) => {
        stream.signal.addEventListener("abort", () => resolve());
        for (;;) {
          if (stream.signal.aborted) return;
          await stream.send(Buffer.alloc(0));
          await new Promise(setImmediate);
        }
      }),
    });
    let seen = 0;
    for await (const _ of channel.serverStream(Control.method.status, {}, { signal }))
      if (++seen === 3) break;
    await aborted;
    channel.close();
  });

  const failures: [sentence: string, methods: Methods, code: number, says: RegExp][] = [
    ["says what nobody answers", {}, 12, /does not answer/],
    [
      "fails as the method fails",
      { [infoPath]: unary(() => Promise.reject(new SessionError(5, "no é 50%"))) },
      5,
      /^no é 50%$/,
    ],
    [
      "fails with the message when the answer is no message",
      { [infoPath]: streaming(() => Promise.resolve()) },
      13,
      /without an answer/,
    ],
  ];
  for (const [sentence, methods, code, says] of failures) {
    it(sentence, async () => {
      const { channel } = channelTo(methods);
      const attempt = channel.unary(Control.method.info, {}, { signal });
      await assert.rejects(attempt, { code, details: says });
      assert.equal(buildkitError(await attempt.catch((error: unknown) => error)).grpcCode, code);
      channel.close();
    });
  }

  it("ends a call at its deadline, and tells the method", async () => {
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    const { channel } = channelTo({
      [statusPath]: streaming((stream) => {
        stream.signal.addEventListener("abort", () => resolve());
        return forever(stream);
      }),
    });
    const call = channel.serverStream(Control.method.status, {}, { signal, deadlineMs: 30 });
    await assert.rejects(call.next(), { code: 4 });
    await aborted;
    channel.close();
  });

  it("ends a call when its signal aborts, before and after it began", async () => {
    const { channel } = channelTo({ [statusPath]: streaming(forever) });
    const early = channel.serverStream(Control.method.status, {}, { signal: AbortSignal.abort() });
    await assert.rejects(early.next(), { code: 1 });
    const end = new AbortController();
    const late = channel.serverStream(Control.method.status, {}, { signal: end.signal });
    const next = late.next();
    setImmediate(() => end.abort());
    await assert.rejects(next, { code: 1 });
    channel.close();
  });

  it("fails calls whose connection breaks, and dials anew for the next", async () => {
    const { channel, dials, cut } = channelTo({
      [statusPath]: streaming(forever),
      [infoPath]: unary(() => Promise.resolve(new Uint8Array())),
    });
    await channel.unary(Control.method.info, {}, { signal });
    const call = channel.serverStream(Control.method.status, {}, { signal }).next();
    setImmediate(cut);
    await assert.rejects(call, { code: 14 });
    await channel.unary(Control.method.info, {}, { signal });
    assert.equal(dials(), 2);
    channel.close();
    await assert.rejects(channel.unary(Control.method.info, {}, { signal }), { code: 14 });
  });

  it("pauses before it dials again what can't be dialled", async () => {
    let dials = 0;
    const refuse = (): Promise<never> => {
      dials++;
      return Promise.reject(new Error("refused"));
    };
    const channel = new Http2Channel(new Link({ authority: "x", dial: refuse }));
    for (let index = 0; index < 5; index++) {
      const attempt = channel.unary(Control.method.info, {}, { signal });
      await assert.rejects(attempt, { code: 14, details: /refused/ });
    }
    assert.equal(dials, 1);
    channel.close();
  });
});

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 2_000; !holds(); await new Promise(setImmediate))
    assert.ok(Date.now() < end, `no ${what}`);
}

describe("a link", () => {
  it("ends the connections that their peers have left, too, when it is closed", async () => {
    const ends: Http2Connection[] = [];
    let calls = 0;
    const link = new Link({
      authority: "localhost",
      dial: () => {
        const [near, far] = pair();
        const accept = (): StreamSink => {
          calls++;
          return { headers() {}, data() {}, end() {}, drained() {}, closed() {} };
        };
        ends.push(new Http2Connection(new DuplexBytes(far), { role: "server", accept }));
        return Promise.resolve(new DuplexBytes(near));
      },
    });
    const channel = new Http2Channel(link);
    const call = (): Promise<unknown> => channel.unary(Control.method.info, {}, { signal });
    const first = call();
    const left = await link.connection(signal);
    await until("the first call to arrive", () => calls === 1);
    ends[0]?.close();
    await until("the peer's leave to arrive", () => !left.usable);
    const second = call();
    await until("the second call to arrive", () => calls === 2);
    assert.equal(ends.length, 2);
    channel.close();
    await assert.rejects(first, { code: 14 });
    await assert.rejects(second, { code: 14 });
    await Promise.all(ends.map(({ closed }) => closed));
  });

  const peers: readonly [sentence: string, says: (far: Duplex) => void, reason: string][] = [
    ["hangs up", (far) => void far.destroy(), "BuilderUnreachable"],
    ["speaks something else", (far) => void far.write("SSH-2.0-x\r\n"), "BuilderUnreachable"],
    [
      "greets and hangs up",
      (far) => {
        far.write(Buffer.from("000000040000000000", "hex"));
        far.end();
      },
      "BuilderLost",
    ],
  ];
  for (const [sentence, says, reason] of peers) {
    it(`to a peer that ${sentence}: ${reason}`, async () => {
      const dialled = (): Promise<DuplexBytes> => {
        const [near, far] = pair();
        far.on("error", () => {});
        far.resume();
        setImmediate(says, far);
        return Promise.resolve(new DuplexBytes(near));
      };
      const channel = new Http2Channel(new Link({ authority: "localhost", dial: dialled }));
      const error: unknown = await channel.unary(Control.method.info, {}, { signal }).then(
        () => undefined,
        (failure: unknown) => failure,
      );
      assert.equal(buildkitError(error).reason, reason, String(error));
      channel.close();
    });
  }

  it("tells all reasons of a name with several addresses", () => {
    const refused = ["::1", "127.0.0.1"].map((host) => new Error(`connect ECONNREFUSED ${host}:1`));
    const { details } = connectionFailed(new AggregateError(refused));
    assert.equal(
      details,
      "no connection: connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1",
    );
  });
});

describe("the end of a call", () => {
  const ok = [":status", "200"] as const;
  const cases: [sentence: string, end: Parameters<typeof callEnd>[0], code: number | undefined][] =
    [
      ["is OK", { head: [ok], trailers: [["grpc-status", "0"]] }, undefined],
      ["may stand in the head", { head: [ok, ["grpc-status", "7"]], trailers: undefined }, 7],
      ["is no gRPC behind a proxy", { head: [[":status", "502"]], trailers: undefined }, 14],
      [
        "is no gRPC when it is a page",
        { head: [ok, ["content-type", "text/html"]], trailers: [] },
        2,
      ],
      [
        "is gRPC of any kind",
        {
          head: [ok, ["content-type", "application/grpc+proto"]],
          trailers: [["grpc-status", "5"]],
        },
        5,
      ],
      ["needs a status", { head: [ok], trailers: [] }, 13],
    ];
  for (const [sentence, end, code] of cases) {
    it(sentence, () => assert.equal(callEnd(end)?.code, code));
  }

  it("carries details as bytes", () => {
    const details = Buffer.from("detail").toString("base64").replaceAll("=", "");
    const trailers = [
      ["grpc-status", "2"],
      ["grpc-status-details-bin", details],
    ] as const;
    const [bin] = callEnd({ head: [ok], trailers })?.metadata.get("grpc-status-details-bin") ?? [];
    assert.equal(String(bin), "detail");
  });
});

describe("grpc-timeout", () => {
  const cases: [text: string | undefined, ms: number | undefined][] = [
    ["15S", 15_000],
    ["100m", 100],
    ["1u", 1],
    ["2M", 120_000],
    ["99999999H", undefined],
    ["x", undefined],
    [undefined, undefined],
  ];
  for (const [text, ms] of cases) {
    it(`reads ${text}`, () => assert.equal(timeoutMs(text), ms));
  }
});
