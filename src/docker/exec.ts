// A program in a container whose standard input and output are a stream of ours.
import { Duplex } from "node:stream";
import type { Engine } from "../buildkit/index.ts";
import { KilnError } from "../errors/index.ts";
import { askEngine, hijackEngine, isRefusal } from "./api.ts";
import { OutputReader } from "./frames.ts";

const keptBytes = 2048;
const whyMs = 5_000;

/**
 * Starts a program in a running container. The stream ends with the program; with an error of what it wrote to standard
 * error when it did not end well. Rejects with KilnError Builder `ContainerNotFound` or `ContainerNotRunning`, else as
 * `askEngine`.
 */
export async function execInContainer(
  engine: Engine,
  container: string,
  argv: readonly string[],
  signal: AbortSignal,
): Promise<Duplex> {
  const id = await create(engine, container, argv, signal);
  const socket = await hijackEngine(
    engine,
    { method: "POST", path: `/exec/${id}/start`, body: { Detach: false, Tty: false } },
    signal,
  );
  return new ExecStream(socket, async (words) => await ending(engine, id, argv[0] ?? "", words));
}

async function create(
  engine: Engine,
  container: string,
  argv: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const body = { AttachStdin: true, AttachStdout: true, AttachStderr: true, Cmd: argv };
  const path = `/containers/${encodeURIComponent(container)}/exec`;
  try {
    const { Id } = (await askEngine(engine, { method: "POST", path, body }, signal)) as {
      Id: string;
    };
    return Id;
  } catch (cause) {
    if (isRefusal(cause, 404)) {
      throw fault(
        "ContainerNotFound",
        `The Docker engine has no container "${container}": start it, or correct its name.`,
        cause,
      );
    }
    if (isRefusal(cause, 409)) {
      throw fault(
        "ContainerNotRunning",
        `Container "${container}" does not run: start it on its Docker engine.`,
        cause,
      );
    }
    throw cause;
  }
}

function fault(reason: string, message: string, cause: unknown): KilnError {
  return new KilnError({ class: "Builder", reason, message, retryable: true, cause });
}

/** Undefined when the program ended well. */
async function ending(
  engine: Engine,
  id: string,
  program: string,
  words: string,
): Promise<Error | undefined> {
  const said = words.trim();
  try {
    const asked = { method: "GET", path: `/exec/${id}/json` } as const;
    const state = (await askEngine(engine, asked, AbortSignal.timeout(whyMs))) as {
      readonly ExitCode?: number | null;
    };
    if (state.ExitCode === 0) return undefined;
    return new Error(`${program} ended with code ${state.ExitCode ?? "unknown"}: ${said}`);
  } catch {
    return said === "" ? undefined : new Error(`${program} ended: ${said}`);
  }
}

class ExecStream extends Duplex {
  readonly #socket: Duplex;
  readonly #reader = new OutputReader();
  #words = "";

  constructor(socket: Duplex, ending: (words: string) => Promise<Error | undefined>) {
    super();
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", (error) => this.destroy(error));
    socket.on("end", () => {
      void ending(this.#words).then((error) => {
        if (error === undefined) this.push(null);
        else this.destroy(error);
      });
    });
    socket.on("close", () => {
      if (!socket.readableEnded) this.destroy(new Error("the Docker engine closed the connection"));
    });
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#socket.write(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #take(chunk: Buffer): void {
    let room = true;
    try {
      for (const { stream, data } of this.#reader.read(chunk)) {
        if (stream === "stdout") room = this.push(data) && room;
        else this.#words = `${this.#words}${data.toString("utf8")}`.slice(-keptBytes);
      }
    } catch (error) {
      this.destroy(error as Error);
    }
    if (!room) this.#socket.pause();
  }
}
