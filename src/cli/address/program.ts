// A program whose standard input and output lead to a buildkitd, as an endpoint.
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { Duplex } from "node:stream";
import type { StreamEndpoint } from "../../buildkit/index.ts";

const keptBytes = 2048;

/** Starts the program for each connection; it ends with its connection. What it says is told when it ends early. */
export function programEndpoint(name: string, argv: readonly string[]): StreamEndpoint {
  return { kind: "stream", name, dial: (signal) => dial(argv, signal) };
}

async function dial(
  [program = "", ...args]: readonly string[],
  signal: AbortSignal,
): Promise<Duplex> {
  signal.throwIfAborted();
  const child = spawn(program, args, { stdio: "pipe" });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  return bytesOf(program, child);
}

/** Its output ends with the program: why it ended says more than the broken pipe that is noticed first. */
function bytesOf(program: string, child: ChildProcessWithoutNullStreams): Duplex {
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    words = `${words}${chunk}`.slice(-keptBytes);
  });
  const ended = new Promise<Error>((resolve) => {
    child.once("close", (code, killed) => {
      const how = killed === null ? `with code ${code}` : `by ${killed}`;
      resolve(new Error(`${program} ended ${how}: ${words.trim()}`));
    });
  });
  child.stdin.on("error", () => {}); // told to each write
  const bytes = new Duplex({
    read: () => void child.stdout.resume(),
    write(chunk: Buffer, _encoding, done) {
      child.stdin.write(chunk, (error) => {
        if (error === null || error === undefined) done();
        else void ended.then(done);
      });
    },
    final: (done) => void child.stdin.end(done),
    destroy(error, done) {
      // The end of its input is what ends it; a signal alone is something that buildctl waits on.
      child.stdin.destroy();
      child.stdout.destroy();
      child.kill();
      done(error);
    },
  });
  child.stdout.on("data", (chunk: Buffer) => {
    if (!bytes.push(chunk)) child.stdout.pause();
  });
  void ended.then((error) => bytes.destroy(error));
  return bytes;
}
