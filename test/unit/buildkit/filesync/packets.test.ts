import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { PacketSchema } from "../../../../src/gen/fsutil/types/wire_pb.ts";
import {
  dataPacketHead,
  errorPacket,
  finPacket,
  readPacket,
  statPacket,
} from "../../../../src/buildkit/session/filesync/packets.ts";

const uint32 = fc.nat({ max: 0xffffffff });
const text = fc.string({ unit: "grapheme", maxLength: 200 });

describe("fsutil packets", () => {
  it("writes entries as the generated code reads them", () => {
    const stat = fc.record({
      path: text,
      mode: uint32,
      size: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      linkname: text,
      devmajor: uint32,
      devminor: uint32,
    });
    fc.assert(
      fc.property(stat, (entry) => {
        const packet = fromBinary(PacketSchema, statPacket(entry));
        assert.equal(packet.type, 0);
        const { path, mode, size, modTime, linkname, devmajor, devminor } = packet.stat ?? {};
        assert.deepEqual(
          { path, mode, size, mtimeNs: modTime, linkname, devmajor, devminor },
          {
            ...entry,
            size: BigInt(entry.size),
            devmajor: BigInt(entry.devmajor),
            devminor: BigInt(entry.devminor),
          },
        );
      }),
      { numRuns: 500 },
    );
  });

  it("ends the list with a packet without an entry", () => {
    assert.equal(fromBinary(PacketSchema, statPacket()).stat, undefined);
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
      stat: fc.constantFrom(undefined, create(PacketSchema, { stat: { path: "a" } }).stat),
    });
    fc.assert(
      fc.property(packets, ({ stat, ...packet }) => {
        const message = create(PacketSchema, {
          ...packet,
          ...(stat === undefined ? {} : { stat }),
        });
        const read = readPacket(Buffer.from(toBinary(PacketSchema, message)));
        assert.deepEqual([read.type, read.id], [packet.type, packet.id]);
        assert.deepEqual(Buffer.from(read.data), Buffer.from(packet.data));
      }),
    );
  });

  it("knows FIN and ERR", () => {
    assert.equal(readPacket(finPacket()).type, 3);
    const error = readPacket(errorPacket("é"));
    assert.deepEqual([error.type, error.data.toString()], [4, "é"]);
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
      { numRuns: 2000 },
    );
  });
});
