// Does the reader of gRPC frames give the same messages for any chunks, and refuse nonsense without a crash?
import { frameHead, FrameReader } from "../../src/buildkit/session/frames.ts";
import { anyBytes, chunked, damaged } from "./bytes.ts";
import type { Random } from "./random.ts";
import { fuzz } from "./run.ts";

interface Framed {
  readonly messages: readonly Buffer[];
  readonly bytes: Buffer;
  readonly chunks: readonly Buffer[];
}

function framed(random: Random, damage: (bytes: Buffer) => Buffer): Framed {
  const messages = random.list(6, () => anyBytes(random, random.pick([0, 4, 60, 300])));
  const bytes = damage(
    Buffer.concat(messages.flatMap((message) => [frameHead(message.length), message])),
  );
  return { messages, bytes, chunks: chunked(random, bytes) };
}

/** Messages in hex and how it ended, for comparison. */
function read(chunks: readonly Buffer[]): string {
  const reader = new FrameReader();
  const seen: string[] = [];
  try {
    for (const chunk of chunks)
      for (const message of reader.push(chunk)) seen.push(message.toString("hex"));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // What came whole before the nonsense may or may not have been told: the call fails either way.
    return "refused";
  }
  return `${seen.join()} ${reader.partial ? "partial" : "whole"}`;
}

describe("gRPC frames", () => {
  it("are the same messages, whatever the chunks are", async function () {
    const done = await fuzz({
      generate: (random) => framed(random, (bytes) => bytes),
      check: async (cases) =>
        cases.map(({ messages, chunks }) => {
          const wanted = `${messages.map((message) => message.toString("hex")).join()} whole`;
          const got = read(chunks);
          return got === wanted ? undefined : `read ${got}`;
        }),
    });
    this.test!.title += ` (${done})`;
  });

  it("that are damaged are refused or read, the same for any chunks", async function () {
    const done = await fuzz({
      generate: (random) => framed(random, (bytes) => damaged(random, bytes)),
      check: async (cases) =>
        cases.map(({ bytes, chunks }) => {
          const [whole, cut] = [read([bytes]), read(chunks)];
          return whole === cut ? undefined : `whole: ${whole}; in chunks: ${cut}`;
        }),
    });
    this.test!.title += ` (${done})`;
  });
});
