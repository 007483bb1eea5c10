// One source as the LLB that a frontend takes for its main context (its input "context"). Pure.
// Fields: solver/pb/ops.proto, BuildKit v0.34.2: Definition.def = 1, .metadata = 2; OpMetadata.description = 2;
// Op.inputs = 1, .source = 3; Input.digest = 1; SourceOp.identifier = 1, .attrs = 2.
import { createHash } from "node:crypto";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** A source as `pb.SourceOp` has it. */
export interface Source {
  /** `docker-image://…`, `oci-layout://…`. */
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** A definition with the source as its result. */
export function sourceDefinition({ identifier, attrs }: Source): Uint8Array {
  const source = new BinaryWriter().tag(1, WireType.LengthDelimited).string(identifier);
  for (const [key, value] of Object.entries(attrs).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    source.tag(2, WireType.LengthDelimited).bytes(entryOf(key, value));
  }
  const op = new BinaryWriter().tag(3, WireType.LengthDelimited).bytes(source.finish()).finish();
  const digest = `sha256:${createHash("sha256").update(op).digest("hex")}`;
  const input = new BinaryWriter().tag(1, WireType.LengthDelimited).string(digest);
  const result = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(input.finish());
  const definition = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(op);
  definition.tag(1, WireType.LengthDelimited).bytes(result.finish());
  // The daemon takes a definition without metadata for none.
  const named = entryOf("llb.customname", "[internal] load build context");
  const metadata = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(named);
  const described = new BinaryWriter().tag(1, WireType.LengthDelimited).string(digest);
  described.tag(2, WireType.LengthDelimited).bytes(metadata.finish());
  return definition.tag(2, WireType.LengthDelimited).bytes(described.finish()).finish();
}

function entryOf(key: string, value: string): Uint8Array {
  const entry = new BinaryWriter().tag(1, WireType.LengthDelimited).string(key);
  return entry.tag(2, WireType.LengthDelimited).string(value).finish();
}
