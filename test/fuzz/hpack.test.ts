// Does the HPACK decoder read what the encoder writes, and end in time on any bytes, with bounded memory?
import { encodeHeaders, HeaderDecoder } from "../../src/buildkit/http2/headers/hpack.ts";
import { Http2Error, type HeaderList } from "../../src/buildkit/http2/protocol.ts";
import { anyBytes, damaged } from "./bytes.ts";
import type { Random } from "./random.ts";
import { fuzz } from "./run.ts";

const names = [
  ":path",
  ":method",
  ":status",
  "content-type",
  "te",
  "x",
  "grpc-status",
  "followpaths",
];
const values = ["", "200", "POST", "/", "trailers", "a, b", "x".repeat(127), "y".repeat(300)];
const limits = { maxTableBytes: 4_096, maxListBytes: 65_536 };

function headers(random: Random): HeaderList {
  return random.list(8, () => [
    random.pick(names),
    random.oneIn(2) ? random.pick(values) : anyBytes(random, 30).toString("latin1"),
  ]);
}

/** Fields by their first byte, so that blocks are long before something is wrong with them. */
function likelyBlock(random: Random): Buffer {
  const text = (): Buffer => {
    const bytes = anyBytes(random, 20);
    return Buffer.concat([Buffer.from([bytes.length | (random.oneIn(2) ? 0x80 : 0)]), bytes]);
  };
  return Buffer.concat(
    random.list(20, () => {
      switch (random.below(5)) {
        case 0:
          return Buffer.from([0x80 | random.below(70)]);
        case 1:
          return Buffer.concat([Buffer.from([0x40]), text(), text()]);
        case 2:
          return Buffer.concat([Buffer.from([0x40 | (1 + random.below(61))]), text()]);
        case 3:
          return Buffer.concat([Buffer.from([random.below(16)]), text()]);
        default:
          return Buffer.from([0x20 | random.below(32), random.below(256)]);
      }
    }),
  );
}

/** Decodes blocks with one decoder, as a connection does; "refused" ends it. */
function decode(blocks: readonly Buffer[]): string | undefined {
  const decoder = new HeaderDecoder(limits);
  for (const block of blocks) {
    try {
      const { headers: list } = decoder.decode(block);
      const size = list.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
      if (size > limits.maxListBytes) return `a list of ${size} bytes`;
    } catch (error) {
      if (error instanceof Http2Error) return undefined;
      return error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
  }
  return undefined;
}

describe("header blocks", () => {
  it("are read as they were written", async function () {
    const done = await fuzz({
      generate: (random) => random.list(3, () => headers(random)),
      check: async (cases) =>
        cases.map((lists) => {
          const decoder = new HeaderDecoder(limits);
          for (const list of lists) {
            const read = JSON.stringify(decoder.decode(encodeHeaders(list)).headers);
            // Written as UTF-8, read byte by byte.
            const wanted = list.map(([name, value]) => [
              name,
              Buffer.from(value, "utf8").toString("latin1"),
            ]);
            if (read !== JSON.stringify(wanted)) return `read ${read}`;
          }
          return undefined;
        }),
    });
    this.test!.title += ` (${done})`;
  });

  it("of any bytes are read or refused", async function () {
    const done = await fuzz({
      generate: (random) =>
        random.list(4, () => {
          if (random.oneIn(4)) return anyBytes(random, 60);
          const block = random.oneIn(2) ? likelyBlock(random) : encodeHeaders(headers(random));
          return random.oneIn(2) ? damaged(random, block) : block;
        }),
      check: async (cases) => cases.map(decode),
    });
    this.test!.title += ` (${done})`;
  });
});
