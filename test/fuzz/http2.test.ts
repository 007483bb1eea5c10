// Do bytes come out of our HTTP/2 as they went in, whatever the chunks are, and does no damage crash or hang it?
import type { ByteSink, ByteStream } from "../../src/buildkit/http2/byte-stream.ts";
import { Http2Connection } from "../../src/buildkit/http2/connection.ts";
import { encodeHeaders } from "../../src/buildkit/http2/headers/hpack.ts";
import { frameType, preface } from "../../src/buildkit/http2/protocol.ts";
import type { Http2Stream, StreamSink } from "../../src/buildkit/http2/stream.ts";
import { frame, settings, u32 } from "../integration/buildkit/hostile/raw.ts";
import { anyBytes, chunked, damaged, overwrite } from "./bytes.ts";
import { randomOf, type Random } from "./random.ts";
import { fuzz } from "./run.ts";

/** One end of a wire whose bytes arrive in random chunks, later. */
class WireEnd implements ByteStream {
  peer: WireEnd | undefined;
  written = 0;
  readonly #random: Random;
  #sink: ByteSink | undefined;
  #over = false;
  #waiting: Buffer[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  open(sink: ByteSink): void {
    this.#sink = sink;
    this.#deliver();
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const bytes = Buffer.concat(chunks);
    this.written += bytes.length;
    const { peer } = this;
    setImmediate(() => peer?.take(bytes));
    return true;
  }

  end(): void {
    const { peer } = this;
    setImmediate(() => peer?.close());
  }

  destroy(): void {
    this.close();
    const { peer } = this;
    setImmediate(() => peer?.close());
  }

  take(bytes: Buffer): void {
    this.#waiting.push(...chunked(this.#random, bytes));
    this.#deliver();
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink?.closed();
  }

  #deliver(): void {
    if (this.#sink === undefined) return;
    for (const chunk of this.#waiting.splice(0)) {
      if (this.#over) return;
      const lent = Buffer.from(chunk);
      this.#sink.bytes(lent);
      overwrite(lent);
    }
  }
}

/** Reads a stream to its end, giving credit as it goes, and answers when it ends. */
function reading(
  stream: Http2Stream,
  done: (bytes: Buffer, error?: Error) => void,
  onEnd: () => void,
): StreamSink {
  const chunks: Buffer[] = [];
  return {
    headers: () => undefined,
    data(chunk) {
      chunks.push(Buffer.from(chunk));
      stream.consumed(chunk.length);
    },
    end: onEnd,
    drained: () => undefined,
    closed: (error) => done(Buffer.concat(chunks), error),
  };
}

interface Exchange {
  readonly seed: number;
  /** For each stream: what the client and the server send, as writes. */
  readonly streams: readonly (readonly [Buffer[], Buffer[]])[];
}

async function exchange({ seed, streams }: Exchange): Promise<string | undefined> {
  const random = randomOf(seed);
  const [near, far] = [new WireEnd(random), new WireEnd(random)];
  [near.peer, far.peer] = [far, near];
  const wrong: string[] = [];
  const check = (what: string, wanted: readonly Buffer[], got: Buffer, error?: Error): void => {
    if (error !== undefined) wrong.push(`${what}: ${error.message}`);
    else if (!Buffer.concat(wanted).equals(got)) wrong.push(`${what}: other bytes`);
  };
  let served = 0;
  const server = new Http2Connection(far, {
    role: "server",
    accept: (stream) => {
      const [asked = [], answer = []] = streams[served++] ?? [];
      const end = (): void => {
        stream.respond([[":status", "200"]]);
        for (const part of answer) stream.write(part);
        stream.end([["grpc-status", "0"]]);
      };
      return reading(stream, (got, error) => check("server", asked, got, error), end);
    },
  });
  const client = new Http2Connection(near, { role: "client" });
  await Promise.all(
    streams.map(
      ([asked, answer]) =>
        new Promise<void>((resolve) => {
          const stream = client.request([[":path", "/x"]], (it) =>
            reading(
              it,
              (got, error) => {
                check("client", answer, got, error);
                resolve();
              },
              () => undefined,
            ),
          );
          for (const part of asked) stream.write(part);
          stream.end();
        }),
    ),
  );
  client.destroy();
  server.destroy();
  await Promise.all([client.closed, server.closed]);
  return wrong[0];
}

function parts(random: Random): Buffer[] {
  if (random.oneIn(200)) return [Buffer.alloc(random.below(200_000), random.below(256))];
  return random.list(4, () => anyBytes(random, random.pick([0, 5, 50])));
}

/** A frame of any kind that is right, or nearly so. */
function likelyFrame(random: Random): Buffer {
  const stream = random.pick([0, 1, 1, 1, 2, 3, 5, 7, 0x7fffffff]);
  const flags = random.pick([0, 1, 4, 5, 8, 9, 12, 13, 0x20, 0x25, 255]);
  const header = (): Buffer =>
    encodeHeaders([
      [random.pick([":path", ":status", "x", "te"]), random.pick(["/x", "200", "", "y"])],
      [":method", "POST"],
    ]);
  switch (random.below(10)) {
    case 0:
      return settings({
        [random.below(8)]: random.pick([0, 1, 100, 16_384, 0x7fffffff, 0xffffffff]),
      });
    case 1:
      return frame(frameType.ping, flags & 1, 0, Buffer.alloc(random.pick([8, 8, 8, 7])));
    case 2:
      return frame(frameType.windowUpdate, 0, stream, u32(random.pick([0, 1, 1e4, 0x7fffffff])));
    case 3:
      return frame(frameType.reset, 0, stream, u32(random.below(14)));
    case 4:
      return frame(frameType.goAway, 0, 0, Buffer.concat([u32(stream), u32(random.below(14))]));
    case 5:
      return frame(frameType.continuation, flags, stream, header());
    case 6:
      return frame(random.below(256), random.below(256), stream, anyBytes(random, 30));
    case 7:
      return frame(frameType.data, flags, stream, anyBytes(random, 60));
    default:
      return frame(frameType.headers, random.oneIn(3) ? flags : 4, stream, header());
  }
}

interface Nonsense {
  readonly role: "client" | "server";
  readonly chunks: readonly Buffer[];
}

function nonsense(random: Random): Nonsense {
  const role = random.pick(["client", "server"] as const);
  const greeting = role === "server" ? Buffer.concat([preface, settings()]) : settings();
  const frames = Buffer.concat([greeting, ...random.list(15, () => likelyFrame(random))]);
  const bytes = random.oneIn(2) ? frames : damaged(random, frames);
  return { role, chunks: chunked(random, bytes) };
}

/** Well above what the frames of a case can make it answer. */
const mostAnswered = 1_000_000;

async function survives({ role, chunks }: Nonsense): Promise<string | undefined> {
  const end = new WireEnd(randomOf(1));
  let calls = 0;
  const sink = (stream: Http2Stream): StreamSink =>
    reading(
      stream,
      () => (calls -= 1),
      () => stream.end([["grpc-status", "0"]]),
    );
  try {
    const connection = new Http2Connection(end, {
      role,
      accept: (stream) => {
        calls += 1;
        return sink(stream);
      },
    });
    if (role === "client") {
      for (let index = 0; index < 3; index += 1) {
        calls += 1;
        connection.request([[":path", "/x"]], sink).write(Buffer.alloc(100));
      }
    }
    for (const chunk of chunks) end.take(chunk);
    await new Promise(setImmediate);
    connection.destroy();
    await connection.closed;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  if (calls !== 0) return `${calls} streams were not told of the end`;
  return end.written > mostAnswered ? `answered ${end.written} bytes` : undefined;
}

describe("our HTTP/2", () => {
  it("brings out what goes in, whatever the chunks are", async function () {
    const done = await fuzz<Exchange>({
      share: 0.1,
      generate: (random) => ({
        seed: random.below(0x7fffffff),
        streams: Array.from({ length: 1 + random.below(3) }, () => [parts(random), parts(random)]),
      }),
      check: (cases) => Promise.all(cases.map(exchange)),
    });
    this.test!.title += ` (${done})`;
  });

  it("survives any frames, damage and chunks in either role", async function () {
    const done = await fuzz<Nonsense>({
      share: 0.25,
      generate: nonsense,
      check: (cases) => Promise.all(cases.map(survives)),
    });
    this.test!.title += ` (${done})`;
  });
});
