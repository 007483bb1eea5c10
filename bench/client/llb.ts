// LLB of one operation: a local directory, which the daemon then has to fetch and nothing else.
import { createHash } from "node:crypto";

/** A length-delimited protobuf field. */
function field(number: number, bytes: Buffer): Buffer {
  const length: number[] = [];
  let rest = bytes.length;
  for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length, rest]), bytes]);
}

/** The pb.Definition of `local://name`: its Op, and a last Op that takes it as its input. */
export function localDefinition(name: string): Buffer {
  // Op.source = 3; SourceOp.identifier = 1.
  const source = field(3, field(1, Buffer.from(`local://${name}`)));
  const digest = `sha256:${createHash("sha256").update(source).digest("hex")}`;
  // Op.inputs = 1; Input.digest = 1.
  const result = field(1, field(1, Buffer.from(digest)));
  return Buffer.concat([field(1, source), field(1, result)]);
}
