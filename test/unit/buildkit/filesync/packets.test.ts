import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { PacketSchema } from "../../../../src/gen/fsutil/types/wire_pb.ts";
import { bytesOf, nameOf } from "../../../../src/buildkit/session/filesync/names.ts";
import {
  dataPacketHead,
  errorPacket,
  finPacket,
  readPacket,
  requestPacket,
  statPacket,
  type WireStat,
} from "../../../../src/buildkit/session/filesync/packets.ts";

const uint32 = fc.nat({ max: 0xffffffff });
const safe = fc.maxSafeInteger();
const text = fc.string({ unit: "grapheme", maxLength: 200 });
const stats: fc.Arbitrary<WireStat> = fc.record({
  path: text,
  mode: uint32,
  uid: uint32,
  gid: uint32,
  size: fc.maxSafeNat(),
  mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  linkname: text,
  devmajor: uint32,
  devminor: uint32,
  xattrs: fc.option(
    fc
      .dictionary(text, fc.uint8Array({ maxLength: 20 }), { minKeys: 1, maxKeys: 3 })
      .map((found) => new Map(Object.entries(found))),
    { nil: undefined },
  ),
});

describe("fsutil packets", () => {
  it("writes entries as the generated code reads them", () => {
    fc.assert(
      fc.property(stats, (entry) => {
        const { type, stat } = fromBinary(PacketSchema, statPacket(entry));
        assert.equal(type, 0);
        assert.ok(stat !== undefined);
        const { path, mode, uid, gid, linkname } = stat;
        assert.deepEqual(
          { path, mode, uid, gid, linkname },
          {
            path: entry.path,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            linkname: entry.linkname,
          },
        );
        assert.deepEqual(
          [stat.size, stat.modTime, stat.devmajor, stat.devminor],
          [BigInt(entry.size), entry.mtimeNs, BigInt(entry.devmajor), BigInt(entry.devminor)],
        );
        assert.deepEqual(
          new Map(
            Object.entries(stat.xattrs).map(([name, value]) => [name, Uint8Array.from(value)]),
          ),
          new Map([...(entry.xattrs ?? [])].map(([name, value]) => [name, Uint8Array.from(value)])),
        );
      }),
      { numRuns: 500 },
    );
  });

  it("reads its own entries back", () => {
    fc.assert(
      fc.property(stats, (entry) => {
        const { xattrs, ...fields } = readPacket(statPacket(entry)).stat ?? {};
        const { xattrs: wanted, ...wantedFields } = entry;
        assert.deepEqual(fields, wantedFields);
        assert.deepEqual(
          [...(xattrs ?? [])].map(([name, value]) => [name, Buffer.from(value)]),
          [...(wanted ?? [])].map(([name, value]) => [name, Buffer.from(value)]),
        );
      }),
      { numRuns: 500 },
    );
  });

  it("reads negative numbers", () => {
    fc.assert(
      fc.property(safe, safe, (size, devmajor) => {
        const message = create(PacketSchema, {
          stat: { size: BigInt(size), devmajor: BigInt(devmajor) },
        });
        const { stat } = readPacket(Buffer.from(toBinary(PacketSchema, message)));
        assert.deepEqual([stat?.size, stat?.devmajor], [size, devmajor]);
      }),
    );
  });

  it("ends the list with a packet without an entry, and tells it from an empty one", () => {
    assert.equal(fromBinary(PacketSchema, statPacket()).stat, undefined);
    assert.equal(readPacket(statPacket()).stat, undefined);
    assert.equal(readPacket(Buffer.of(0x12, 0)).stat?.path, "");
  });

  it("writes data as the generated code reads it", () => {
    fc.assert(
      fc.property(uint32, fc.uint8Array({ maxLength: 500 }), (id, data) => {
        const bytes = Buffer.concat([dataPacketHead(id, data.length), data]);
        const packet = fromBinary(PacketSchema, bytes);
        assert.deepEqual([packet.type, packet.id], [2, id]);
        assert.deepEqual(Buffer.from(packet.data), Buffer.from(data));
      }),
    );
  });

  it("reads what the generated code writes", () => {
    const packets = fc.record({
      type: fc.nat({ max: 4 }),
      id: uint32,
      data: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(packets, (packet) => {
        const message = create(PacketSchema, packet);
        const read = readPacket(Buffer.from(toBinary(PacketSchema, message)));
        assert.deepEqual([read.type, read.id], [packet.type, packet.id]);
        assert.deepEqual(Buffer.from(read.data), Buffer.from(packet.data));
      }),
    );
  });

  it("knows REQ, FIN and ERR", () => {
    assert.deepEqual([readPacket(requestPacket(7)).type, readPacket(requestPacket(7)).id], [1, 7]);
    assert.equal(readPacket(finPacket()).type, 3);
    const error = readPacket(errorPacket("é"));
    assert.deepEqual([error.type, error.data.toString()], [4, "é"]);
  });

  const odd: [sentence: string, bytes: number[]][] = [
    ["a field number of 0", [0x02, 0x00]],
    ["the end of a group that never began", [0x2c]],
    ["a group without its end", [0x2b, 0x08, 0x01]],
    ["a number where bytes belong", [0x20, 0x01]],
    ["bytes where a number belongs", [0x0a, 0x01, 0x01]],
    ["a length beyond the message", [0x22, 0x05, 0x01]],
    ["a length beyond any message", [0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ["a number of eleven bytes", [0x08, ...Array.from({ length: 10 }, () => 0x80), 0x01]],
    ["an entry that is cut off", [0x12, 0x02, 0x0a, 0x05]],
    ["a size that no JavaScript number holds", [0x12, 9, 0x28, ...Array(7).fill(0xff), 0x7f]],
  ];
  for (const [sentence, bytes] of odd) {
    it(`refuses ${sentence}`, () =>
      assert.throws(() => readPacket(Buffer.from(bytes)), RangeError));
  }

  it("takes a number that no JavaScript number holds when a later one replaces it", () => {
    // Found by fuzzing: seed 348197630.
    const size = [0x28, ...Array<number>(7).fill(0xff), 0x7f, 0x28, 5];
    assert.equal(readPacket(Buffer.from([0x12, size.length, ...size])).stat?.size, 5);
  });

  it("passes over fields that it does not know", () => {
    const unknown = [
      0x2d, 1, 2, 3, 4, 0x31, 1, 2, 3, 4, 5, 6, 7, 8, 0x3a, 1, 9, 0x43, 0x08, 1, 0x44,
    ];
    assert.equal(readPacket(Buffer.from([...unknown, 0x18, 3])).id, 3);
  });

  it("throws nothing but RangeError on any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          readPacket(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof RangeError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("names that are bytes", () => {
  it("survive both ways, whatever the bytes are", () => {
    const lead = fc.constantFrom(0x61, 0x80, 0xbf, 0xc2, 0xe2, 0x82, 0xac, 0xed, 0xa0, 0xf0, 0x9f);
    const bytes = fc.array(fc.oneof(lead, fc.nat({ max: 255 })), { maxLength: 12 });
    fc.assert(
      fc.property(bytes, (values) => {
        const name = Buffer.from(values);
        assert.deepEqual(bytesOf(nameOf(name)), name);
      }),
      { numRuns: 300 },
    );
  });

  it("go over the wire as they are", () => {
    const path = nameOf(Buffer.from("a\xffb", "latin1"));
    const entry: WireStat = {
      path,
      mode: 0,
      uid: 0,
      gid: 0,
      size: 0,
      mtimeNs: 0n,
      linkname: "",
      devmajor: 0,
      devminor: 0,
    };
    assert.ok(statPacket(entry).includes(Buffer.from("a\xffb", "latin1")));
    assert.equal(readPacket(statPacket(entry)).stat?.path, path);
  });

  it("keep a replacement character that is really there", () => {
    assert.equal(nameOf(Buffer.from("a\uFFFD")), "a\uFFFD");
  });
});
