// How does an engine tell a process's two outputs apart on one stream? Eight bytes before each piece: which, three
// zeros, and the length (moby/moby, api: "attach to a container", stream format). Pure.

/** One piece of output. */
export interface OutputPiece {
  readonly stream: "stdout" | "stderr";
  readonly data: Buffer;
}

const headBytes = 8;
const maxPieceBytes = 64 << 20;

/** Takes bytes as they come; gives what they hold of whole or partial pieces, without copying. */
export class OutputReader {
  #head = Buffer.alloc(0);
  #left = 0;
  #stream: OutputPiece["stream"] = "stdout";

  /** Throws for bytes that are no such stream. */
  read(chunk: Buffer): OutputPiece[] {
    const pieces: OutputPiece[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left === 0) rest = this.#readHead(rest);
      if (this.#left === 0) continue;
      const data = rest.subarray(0, this.#left);
      if (data.length > 0) pieces.push({ stream: this.#stream, data });
      this.#left -= data.length;
      rest = rest.subarray(data.length);
    }
    return pieces;
  }

  #readHead(chunk: Buffer): Buffer {
    const missing = headBytes - this.#head.length;
    this.#head = Buffer.concat([this.#head, chunk.subarray(0, missing)]);
    if (this.#head.length < headBytes) return Buffer.alloc(0);
    const [which = 0] = this.#head;
    const length = this.#head.readUInt32BE(4);
    if (which > 2 || length > maxPieceBytes)
      throw new Error("the Docker engine's answer is not the output of a process");
    this.#stream = which === 2 ? "stderr" : "stdout";
    this.#left = length;
    this.#head = Buffer.alloc(0);
    return chunk.subarray(missing);
  }
}
