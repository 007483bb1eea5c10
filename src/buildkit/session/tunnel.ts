// The byte stream inside Control.Session as a Duplex, for an HTTP/2 connection to run over.
import { Duplex } from "node:stream";
import type { BidiCall } from "../rpc/channel.ts";

/** A bidirectional call of byte messages: what the tunnel needs of one. */
export type ByteCall = Pick<
  BidiCall<{ data: Uint8Array }, { data: Uint8Array }>,
  "write" | "end" | "cancel" | "pause" | "resume" | "on"
>;

const maxMessageBytes = 1024 * 1024; // well under what the daemon takes; keeps bursts small

/**
 * Bytes written go out as messages, what comes in is read with the reader's pace. Ending the Duplex
 * half-closes the call: during a solve that fails the build, so only the session's end may do it.
 * Destroying it cancels the call.
 */
export class Tunnel extends Duplex {
  readonly #call: ByteCall;
  #over = false;

  constructor(call: ByteCall) {
    super({ allowHalfOpen: true, highWaterMark: maxMessageBytes });
    this.#call = call;
    call.on("data", (message) => {
      if (
        !this.push(Buffer.from(message.data.buffer, message.data.byteOffset, message.data.length))
      ) {
        call.pause();
      }
    });
    call.on("end", () => {
      this.#over = true;
      this.push(null);
    });
    call.on("error", (error) => {
      this.#over = true;
      this.destroy(error);
    });
    call.pause();
  }

  override _read(): void {
    this.#call.resume();
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#send(chunk, done);
  }

  #send(chunk: Buffer, done: (error?: Error | null) => void): void {
    if (this.#over) {
      done(new Error("the session's stream has ended"));
      return;
    }
    this.#call.write({ data: chunk }, done);
  }

  override _writev(
    chunks: { chunk: Buffer; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    const all = Buffer.concat(chunks.map(({ chunk }) => chunk));
    const send = (from: number): void => {
      const rest = all.subarray(from, from + maxMessageBytes);
      const last = from + rest.length >= all.length;
      this.#send(rest, (error) => {
        if (last || (error !== undefined && error !== null)) done(error);
        else send(from + rest.length);
      });
    };
    send(0);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.#over) this.#call.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#over) this.#call.cancel();
    done(error);
  }
}
