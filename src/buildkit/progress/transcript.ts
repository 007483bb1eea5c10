// What a solve said so far: names of steps and the last output of each, for error messages. Bounded.
import type { SolveEvent } from "./events.ts";

const tailLines = 30;
const tailBytes = 8 * 1024;
const maxVertices = 4096;

/** Remembers the end of each step's output while events pass by. */
export class Transcript {
  readonly #names = new Map<string, string>();
  readonly #tails = new Map<string, Buffer>();
  readonly #failed = new Set<string>();

  /** Takes note of one event. */
  add(event: SolveEvent): void {
    if (event.kind === "vertex") this.#vertex(event.digest, event.name, event.error);
    if (event.kind === "log") this.#log(event.vertex, event.data);
  }

  /** The name of a step as shown to people; undefined when it never started. */
  nameOf(digest: string): string | undefined {
    return this.#names.get(digest);
  }

  /** The step that failed, when exactly one did. */
  failed(): string | undefined {
    const [only, second] = [...this.#failed];
    return second === undefined ? only : undefined;
  }

  /** The last lines of a step's output, both streams as they came; at most 30 lines and 8 KiB. */
  tail(digest: string): string[] {
    const bytes = this.#tails.get(digest);
    if (bytes === undefined) return [];
    const lines = bytes.toString("utf8").split(/\r?\n/);
    if (lines.at(-1) === "") lines.pop();
    return lines.slice(-tailLines);
  }

  #vertex(digest: string, name: string, error: string | undefined): void {
    if (this.#names.size < maxVertices) this.#names.set(digest, name);
    if (error !== undefined && !/context canceled/.test(error)) this.#failed.add(digest);
  }

  #log(digest: string, data: Uint8Array): void {
    const before = this.#tails.get(digest) ?? Buffer.alloc(0);
    if (before.length === 0 && this.#tails.size >= maxVertices) return;
    this.#tails.set(digest, lastWholeLines(Buffer.concat([before, data.subarray(-2 * tailBytes)])));
  }
}

function lastWholeLines(bytes: Buffer): Buffer {
  if (bytes.length <= 2 * tailBytes) return bytes;
  const cut = bytes.subarray(-tailBytes);
  const newline = cut.indexOf(0x0a);
  return Buffer.from(newline === -1 ? cut : cut.subarray(newline + 1));
}
