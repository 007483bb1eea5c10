// Do the readers of gRPC frames give the same messages for any chunks, and refuse nonsense without a crash? And do the
// two that hand on bytes in pieces read what those that put messages together read?
import { frameHead, FrameReader } from "../../src/buildkit/session/frames.ts";
import { bytesOf } from "../../src/buildkit/session/bytes-message.ts";
import { BytesMessageReader, bytesMessageHead } from "../../src/buildkit/session/bytes-messages.ts";
import { PacketReader } from "../../src/buildkit/session/export/packet-reader.ts";
import {
  dataPacketHead,
  packetType,
  readPacket,
  requestPacket,
  type Packet,
} from "../../src/buildkit/session/filesync/packets.ts";
import { anyBytes, chunked, damaged, overwrite } from "./bytes.ts";
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

/** Lends each chunk for the time of one call. */
function lending(chunks: readonly Buffer[], take: (chunk: Buffer) => void): void {
  for (const chunk of chunks) {
    const lent = Buffer.from(chunk);
    take(lent);
    overwrite(lent);
  }
}

/** Messages in hex and how it ended, for comparison. */
function read(chunks: readonly Buffer[]): string {
  const reader = new FrameReader();
  const messages: Buffer[] = [];
  try {
    lending(chunks, (chunk) => void messages.push(...reader.push(chunk)));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // What came whole before the nonsense may or may not have been told: the call fails either way.
    return "refused";
  }
  return `${messages.map((message) => message.toString("hex")).join()} ${reader.partial ? "partial" : "whole"}`;
}

/** The bytes of a stream of BytesMessages in hex, read in pieces. */
function bytesIn(chunks: readonly Buffer[]): string {
  let seen = "";
  const reader = new BytesMessageReader((piece) => (seen += piece.toString("hex")));
  try {
    lending(chunks, (chunk) => reader.push(chunk));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return "refused";
  }
  return `${seen} ${reader.partial ? "partial" : "whole"}`;
}

/** Packets in words; the bytes of neighbouring DATA of one file are one. */
class PacketWords {
  #words: string[] = [];
  #file = -1;

  data(id: number, bytes: Buffer): void {
    if (id !== this.#file) this.#words.push(` ${id}:`);
    this.#file = id;
    this.#words.push(bytes.toString("hex"));
  }

  packet({ type, id, data }: Packet): void {
    this.#file = -1;
    this.#words.push(` ${type}/${id}/${data.toString("hex")}`);
  }

  get text(): string {
    return this.#words.join("");
  }
}

function packetsIn(chunks: readonly Buffer[], slowly: boolean): string {
  const words = new PacketWords();
  const [reader, frames] = [new PacketReader(words), new FrameReader()];
  try {
    lending(chunks, (chunk) => {
      if (!slowly) reader.push(chunk);
      else
        for (const packet of frames.push(chunk).map(readPacket)) {
          const bulk = packet.type === packetType.data && packet.data.length > 0;
          if (bulk) words.data(packet.id, packet.data);
          else words.packet(packet);
        }
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return "refused";
  }
  // Bytes of a message that is cut off may have been told: the call fails either way.
  return (slowly ? frames : reader).partial ? "partial" : words.text;
}

function packetStream(random: Random): Framed {
  const messages = random.list(6, () => {
    const [id, bytes] = [
      random.pick([0, 1, 127, 128, 2 ** 28, 2 ** 32 - 1]),
      anyBytes(random, 300),
    ];
    return random.below(4) === 0
      ? requestPacket(id)
      : Buffer.concat([dataPacketHead(id, bytes.length), bytes]);
  });
  const whole = Buffer.concat(messages.flatMap((it) => [frameHead(it.length), it]));
  const bytes = random.below(2) === 0 ? whole : damaged(random, whole);
  return { messages, bytes, chunks: chunked(random, bytes) };
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

  it("of bytes have the bytes of their messages", async function () {
    const done = await fuzz({
      generate: (random) => {
        const parts = random.list(6, () => anyBytes(random, random.pick([0, 4, 60, 300])));
        const bytes = Buffer.concat(parts.flatMap((it) => [bytesMessageHead(it.length), it]));
        return { parts, chunks: chunked(random, bytes) };
      },
      check: async (cases) =>
        cases.map(({ parts, chunks }) => {
          const messages = chunks.flatMap(readerOfAll());
          const slow = Buffer.concat(messages.map(bytesOf)).toString("hex");
          const wanted = Buffer.concat(parts).toString("hex");
          const got = bytesIn(chunks);
          return got === `${wanted} whole` && slow === wanted ? undefined : `read ${got}`;
        }),
    });
    this.test!.title += ` (${done})`;
  });

  it("of bytes that are damaged are refused or read, the same for any chunks", async function () {
    const done = await fuzz({
      generate: (random) => {
        const parts = random.list(6, () => anyBytes(random, random.pick([0, 4, 60, 300])));
        const whole = Buffer.concat(parts.flatMap((it) => [bytesMessageHead(it.length), it]));
        const bytes = damaged(random, whole);
        return { bytes, chunks: chunked(random, bytes) };
      },
      check: async (cases) =>
        cases.map(({ bytes, chunks }) => {
          // Byte by byte nothing is read in the quick way.
          const [whole, cut, slow] = [[bytes], chunks, [...bytes].map((it) => Buffer.of(it))].map(
            bytesIn,
          );
          return whole === cut && whole === slow ? undefined : `${whole}; ${cut}; ${slow}`;
        }),
    });
    this.test!.title += ` (${done})`;
  });

  it("of packets have the packets of their messages", async function () {
    const done = await fuzz({
      generate: packetStream,
      check: async (cases) =>
        cases.map(({ bytes, chunks }) => {
          const wanted = packetsIn([bytes], true);
          const [whole, cut] = [packetsIn([bytes], false), packetsIn(chunks, false)];
          return whole === wanted && cut === wanted ? undefined : `${wanted}; ${whole}; ${cut}`;
        }),
    });
    this.test!.title += ` (${done})`;
  });
});

/** One reader for all chunks. */
function readerOfAll(): (chunk: Buffer) => Buffer[] {
  const reader = new FrameReader();
  return (chunk) => reader.push(chunk);
}
