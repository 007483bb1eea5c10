// The packets of fsutil in both directions, written and read by hand: a build has one per file and per chunk. Pure.
// Fields as in proto/fsutil/types/wire.proto; tests hold this against the generated code and against Go.
import { bytesOf, nameOf } from "./names.ts";
import { WireReader, WireWriter } from "./wire.ts";

/** Kinds of packets. */
export const packetType = { stat: 0, request: 1, data: 2, fin: 3, error: 4 } as const;

/** An entry on the wire. */
export interface WireStat {
  /** Relative, "/" between names; bytes that are no UTF-8 as in names.ts. */
  readonly path: string;
  /** Go's os.FileMode, unsigned. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Unix nanoseconds. */
  readonly mtimeNs: bigint;
  /** Target of a symlink; else the earlier path that this is a hard link to; or "". */
  readonly linkname: string;
  readonly devmajor: number;
  readonly devminor: number;
  readonly xattrs?: ReadonlyMap<string, Uint8Array> | undefined;
}

/** A packet as it was read. */
export interface Packet {
  /** One of `packetType`, or a kind that is not known. */
  readonly type: number;
  /** A file's number in the list of entries. */
  readonly id: number;
  /** Bytes of a file, or the text of an error; a view of the message. */
  readonly data: Buffer;
  /** The entry of a STAT; without one it ends the list. */
  readonly stat: WireStat | undefined;
}

const noBytes = Buffer.alloc(0);

/** Writes the fields of an entry. */
export function writeStat(writer: WireWriter, stat: WireStat): void {
  writeName(writer, 0x0a, stat.path);
  writer
    .number(0x10, stat.mode)
    .number(0x18, stat.uid)
    .number(0x20, stat.gid)
    .number(0x28, stat.size)
    .int64(0x30, stat.mtimeNs);
  writeName(writer, 0x3a, stat.linkname);
  writer.number(0x40, stat.devmajor).number(0x48, stat.devminor);
  for (const [name, value] of stat.xattrs ?? []) {
    const attribute = new WireWriter();
    attribute.bytes(0x0a, bytesOf(name)).bytes(0x12, value);
    writer.bytes(0x52, attribute.written);
  }
}

function writeName(writer: WireWriter, tag: number, name: string): void {
  if (name.isWellFormed()) writer.text(tag, name);
  else writer.bytes(tag, bytesOf(name));
}

/** A STAT packet; without an entry: the end of the list. Type 0 is not written. */
export function statPacket(stat?: WireStat): Buffer {
  if (stat === undefined) return noBytes;
  const entry = new WireWriter();
  writeStat(entry, stat);
  return new WireWriter(entry.length + 8).bytes(0x12, entry.written).written;
}

/** REQ: asks for the bytes of a file. */
export function requestPacket(id: number): Buffer {
  return new WireWriter(16).number(0x08, packetType.request).number(0x18, id).written;
}

/** A DATA packet up to its bytes, which follow as they are; 0 bytes say that the file is complete. */
export function dataPacketHead(id: number, length: number): Buffer {
  const head = new WireWriter(32).number(0x08, packetType.data).number(0x18, id);
  return (length === 0 ? head : head.varint(0x22).varint(length)).written;
}

/** FIN. */
export function finPacket(): Buffer {
  return new WireWriter(16).number(0x08, packetType.fin).written;
}

/** ERR with a message for the person who builds. */
export function errorPacket(message: string): Buffer {
  return new WireWriter().number(0x08, packetType.error).text(0x22, message).written;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads any packet; unknown fields are skipped, repeated ones merged. Throws RangeError when it is cut off or malformed. */
export function readPacket(bytes: Buffer): Packet {
  const packet: Mutable<Packet> = { type: 0, id: 0, data: noBytes, stat: undefined };
  const reader = new WireReader(bytes);
  while (!reader.done) {
    const { field, type } = reader.tag();
    switch (field) {
      case 1:
        packet.type = reader.uint32(type) | 0;
        break;
      case 2:
        packet.stat = readStat(reader.bytes(type), packet.stat);
        break;
      case 3:
        packet.id = reader.uint32(type);
        break;
      case 4:
        packet.data = reader.bytes(type);
        break;
      default:
        reader.skip(type);
    }
  }
  if (packet.stat !== undefined) checkNumbers(packet.stat);
  return packet;
}

/** Only what is left in the end counts: a field that comes again replaces the one before. */
function checkNumbers({ size, devmajor, devminor }: WireStat): void {
  if (Number.isNaN(size) || Number.isNaN(devmajor) || Number.isNaN(devminor))
    throw new RangeError("a number of this packet is too large");
}

const emptyStat: WireStat = {
  path: "",
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0,
  mtimeNs: 0n,
  linkname: "",
  devmajor: 0,
  devminor: 0,
};

function readStat(bytes: Buffer, before: WireStat | undefined): WireStat {
  const stat: Mutable<WireStat> = { ...(before ?? emptyStat) };
  const reader = new WireReader(bytes);
  while (!reader.done) {
    const { field, type } = reader.tag();
    if (field === 10) {
      const [name, value] = readAttribute(reader.bytes(type));
      stat.xattrs = new Map([...(stat.xattrs ?? []), [name, value]]);
    } else readField(stat, reader, { field, type });
  }
  return stat;
}

function readField(
  stat: Mutable<WireStat>,
  reader: WireReader,
  { field, type }: { field: number; type: number },
): void {
  switch (field) {
    case 1:
      stat.path = nameOf(reader.bytes(type));
      break;
    case 2:
      stat.mode = reader.uint32(type);
      break;
    case 3:
      stat.uid = reader.uint32(type);
      break;
    case 4:
      stat.gid = reader.uint32(type);
      break;
    case 5:
      stat.size = reader.integer(type);
      break;
    case 6:
      stat.mtimeNs = reader.int64(type);
      break;
    case 7:
      stat.linkname = nameOf(reader.bytes(type));
      break;
    case 8:
      stat.devmajor = reader.integer(type);
      break;
    case 9:
      stat.devminor = reader.integer(type);
      break;
    default:
      reader.skip(type);
  }
}

function readAttribute(bytes: Buffer): [name: string, value: Buffer] {
  let name = "";
  let value: Buffer = noBytes;
  const reader = new WireReader(bytes);
  while (!reader.done) {
    const { field, type } = reader.tag();
    if (field === 1) name = nameOf(reader.bytes(type));
    else if (field === 2) value = reader.bytes(type);
    else reader.skip(type);
  }
  return [name, value];
}
