// LLB written by hand: an image as it is. Fields as in solver/pb/ops.proto of BuildKit.
import { createHash } from "node:crypto";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

function field(number: number, bytes: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(bytes).finish();
}

/** A marshalled pb.Definition whose result is an image, as `docker-image://…` names it. */
export function imageDefinition(identifier: string): Uint8Array {
  const source = field(3, field(1, Buffer.from(identifier)));
  const digest = `sha256:${createHash("sha256").update(source).digest("hex")}`;
  const result = field(1, field(1, Buffer.from(digest)));
  return Buffer.concat([field(1, source), field(1, result)]);
}
