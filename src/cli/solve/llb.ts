// `--no-cache` for LLB: every operation of a marshalled pb.Definition is marked to run again. Pure.
// Fields: solver/pb/ops.proto, BuildKit v0.34.2: Definition.def = 1, .metadata = 2, OpMetadata.ignore_cache = 1.
import { createHash } from "node:crypto";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

const def = 1;
const metadata = 2;
const ignoreCache = Uint8Array.of(0x08, 0x01);

function entryOf(bytes: Uint8Array): { readonly key: string; readonly value: Uint8Array } {
  const reader = new BinaryReader(bytes);
  let key = "";
  let value: Uint8Array = new Uint8Array();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.LengthDelimited) key = reader.string();
    else if (field === 2 && type === WireType.LengthDelimited) value = reader.bytes();
    else reader.skip(type, field);
  }
  return { key, value };
}

function writeEntry(writer: BinaryWriter, key: string, value: Uint8Array): void {
  const entry = new BinaryWriter().tag(1, WireType.LengthDelimited).string(key);
  // Of a field that comes twice the last counts.
  entry.tag(2, WireType.LengthDelimited).bytes(Buffer.concat([value, ignoreCache]));
  writer.tag(metadata, WireType.LengthDelimited).bytes(entry.finish());
}

/** The same definition without its cache. Throws for bytes that are no protobuf message. */
export function withoutCache(definition: Uint8Array): Uint8Array {
  const reader = new BinaryReader(definition);
  const writer = new BinaryWriter();
  const known = new Map<string, Uint8Array>();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === metadata && type === WireType.LengthDelimited) {
      const { key, value } = entryOf(reader.bytes());
      known.set(key, value);
    } else if (field === def && type === WireType.LengthDelimited) {
      const operation = reader.bytes();
      const digest = `sha256:${createHash("sha256").update(operation).digest("hex")}`;
      if (!known.has(digest)) known.set(digest, new Uint8Array());
      writer.tag(def, WireType.LengthDelimited).bytes(operation);
    } else {
      writer.tag(field, type).raw(reader.skip(type, field));
    }
  }
  for (const [key, value] of known) writeEntry(writer, key, value);
  return writer.finish();
}
