// A program in a pod as a stream of bytes: the API server's exec over a WebSocket, where the first byte of a message says
// which stream it belongs to (Kubernetes, apimachinery remotecommand: subprotocols v5.channel.k8s.io and v4).

import { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { parse } from "./exchange.ts";

/** Subprotocols, best first; only v5 can say that standard input ends. */
export const execProtocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"] as const;

const stdin = 0;
const stdout = 1;
const stderr = 2;
/** A Status object, as JSON, when the program has ended. */
const outcome = 3;
/** v5: the channel in the next byte has ended. */
const closes = 255;
const keptBytes = 2048;
const pingMs = 30_000;

/** Takes an open WebSocket over. Destroying the stream ends the program's standard input and the connection. */
export function podStream(socket: WebSocket, program: string): Duplex {
  return new PodStream(socket, program);
}

class PodStream extends Duplex {
  readonly #socket: WebSocket;
  readonly #program: string;
  readonly #pings: NodeJS.Timeout;
  #words = "";
  #isEnded = false;

  constructor(socket: WebSocket, program: string) {
    super();
    this.#socket = socket;
    this.#program = program;
    socket.binaryType = "nodebuffer";
    socket.on("message", (data: Buffer) => this.#take(data));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => {
      if (!this.#isEnded) this.destroy(this.#early("the API server closed the stream"));
    });
    // Load balancers in front of API servers end connections that are silent.
    this.#pings = setInterval(() => socket.ping(), pingMs).unref();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#socket.send(Buffer.concat([Buffer.of(stdin), chunk]), (error) => done(error ?? null));
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#socket.protocol !== execProtocols[0]) {
      done();
      return;
    }
    this.#socket.send(Buffer.of(closes, stdin), (error) => done(error ?? null));
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#pings);
    this.#socket.on("error", () => {});
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.close();
    setTimeout(() => this.#socket.terminate(), 1_000).unref();
    done(error);
  }

  #take(message: Buffer): void {
    const data = message.subarray(1);
    const channel = message[0];
    if (channel === stdout) {
      if (data.length > 0 && !this.push(data)) this.#socket.pause();
    } else if (channel === stderr) {
      this.#words = `${this.#words}${data.toString("utf8")}`.slice(-keptBytes);
    } else if (channel === outcome) {
      this.#end(data.toString("utf8"));
    }
  }

  #end(text: string): void {
    this.#isEnded = true;
    const status = parse(text) as
      | { readonly status?: string; readonly message?: string }
      | undefined;
    if (status?.status === "Success") this.push(null);
    else this.destroy(this.#early(status?.message ?? text));
  }

  #early(why: string): Error {
    const said = this.#words.trim();
    return new Error(`${this.#program} ended: ${said === "" ? why : `${why}: ${said}`}`);
  }
}
