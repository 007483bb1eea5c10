// Does our packet codec read any bytes as BuildKit's does, and never crash or hang? Against Go itself.
import { bytesOf } from "../../src/buildkit/session/filesync/names.ts";
import {
  dataPacketHead,
  errorPacket,
  readPacket,
  requestPacket,
  statPacket,
  type Packet,
} from "../../src/buildkit/session/filesync/packets.ts";
import type { Random } from "./random.ts";
import { reference, type Reference } from "./reference.ts";
import { fuzz } from "./run.ts";

const numbers = [0, 1, 127, 128, 0x3fff, 0x7fffffff, 0x80000000, 0xffffffff];
const sizes = [...numbers, 2 ** 32, 2 ** 35 + 5, Number.MAX_SAFE_INTEGER];
const times = [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 1_767_323_045_123_456_789n, 127n, 128n];
const texts = [
  "",
  "a",
  "é",
  "\uDCFF",
  "x".repeat(41),
  "y".repeat(42),
  "é".repeat(70),
  "a/b",
  "\uDC80\uDCBF",
];

function attribute(random: Random): [string, Buffer] {
  return [random.pick(texts), Buffer.from(random.list(4, () => random.below(256)))];
}

function written(random: Random): Buffer {
  switch (random.below(5)) {
    case 0:
      return requestPacket(random.pick(numbers));
    case 1:
      return errorPacket(random.pick(texts).toWellFormed());
    case 2: {
      const data = Buffer.from(random.list(200, () => random.below(256)));
      return Buffer.concat([dataPacketHead(random.pick(numbers), data.length), data]);
    }
    default:
      return statPacket({
        path: random.pick(texts),
        mode: random.pick(numbers),
        uid: random.pick(numbers),
        gid: random.pick(numbers),
        size: random.pick(sizes),
        mtimeNs: random.pick(times),
        linkname: random.pick(texts),
        devmajor: random.pick(sizes),
        devminor: random.pick(numbers),
        xattrs: new Map(random.list(2, () => attribute(random))),
      });
  }
}

/** A packet as it should be, one that was damaged, or bytes that look like fields. */
function bytes(random: Random): Buffer {
  const packet = Buffer.from(written(random));
  if (random.oneIn(3)) return packet;
  if (random.oneIn(3)) return packet.subarray(0, random.below(packet.length + 1));
  if (random.oneIn(2)) {
    for (let damage = 0; damage <= random.below(3); damage++) {
      if (packet.length > 0) packet[random.below(packet.length)] = random.below(256);
    }
    return packet;
  }
  const likely = [
    0x08, 0x12, 0x18, 0x22, 0x0a, 0x30, 0x3a, 0x52, 0, 1, 2, 3, 0x0b, 0x0c, 0x80, 0xff,
  ];
  return Buffer.from(
    random.list(24, () => (random.oneIn(4) ? random.below(256) : random.pick(likely))),
  );
}

const latin1 = (name: string): string => bytesOf(name).toString("latin1");

function shown({ type, id, data, stat }: Packet): unknown {
  const base = { data: data.toString("latin1"), id };
  if (stat === undefined) return { ...base, type };
  const xattrs = [...(stat.xattrs ?? [])].map(
    ([name, value]) => [latin1(name), Buffer.from(value).toString("latin1")] as const,
  );
  return {
    ...base,
    stat: {
      Path: latin1(stat.path),
      Linkname: latin1(stat.linkname),
      Mode: stat.mode,
      Uid: stat.uid,
      Gid: stat.gid,
      Size: String(stat.size),
      Mtime: String(stat.mtimeNs),
      Major: String(stat.devmajor),
      Minor: String(stat.devminor),
      Xattrs: xattrs.sort(([a], [b]) => (a < b ? -1 : 1)),
    },
    type,
  };
}

function ours(packet: Buffer): unknown {
  try {
    return shown(readPacket(packet));
  } catch (error) {
    if (error instanceof RangeError) return "refused";
    throw error;
  }
}

/** What no JavaScript number holds we refuse and Go takes; and Go lets an attribute reach beyond its own end. */
function mayBeRefused(go: unknown, packet: Buffer): boolean {
  const stat = (go as { stat?: Record<string, string> }).stat;
  const beyond = [stat?.["Size"], stat?.["Major"], stat?.["Minor"]].some(
    (value) => value !== undefined && !Number.isSafeInteger(Number(value)),
  );
  return beyond || packet.includes(0x52);
}

describe("packets", () => {
  let go: Reference;
  before(async () => {
    go = await reference();
  });
  after(() => go.stop());

  it("are read as BuildKit reads them, whatever the bytes are", async function () {
    const done = await fuzz({
      generate: (random) => bytes(random),
      async check(cases) {
        const verdicts = await go.ask(
          cases.map((packet) => ({ op: "packet", bytes: packet.toString("latin1") })),
        );
        return cases.map((packet, index) => {
          const [theirs, own] = [JSON.stringify(verdicts[index]), JSON.stringify(ours(packet))];
          if (theirs === own) return undefined;
          if (own === '"refused"' && mayBeRefused(verdicts[index], packet)) return undefined;
          return `Go says ${theirs}, we say ${own}`;
        });
      },
    });
    this.test!.title += ` (${done})`;
  });
});
