// One watch connection: bytes → lines → events, in order and with backpressure, and an end to a
// stream that has gone silent. What to do about the end is the cache's business.

import { asError } from "../../runtime/clock.ts";
import type { Clock } from "../../runtime/clock.ts";
import { ApiError, apiErrorOf } from "../errors.ts";
import type { KubeObject } from "../object.ts";

/** One line of a watch. Bookmarks carry nothing but a version. */
export type WatchEvent<T extends KubeObject> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string };

/** The stream ended in the middle of a line: what was cut off comes again from the last version. */
export class TruncatedStream extends Error {
  constructor(bytes: number) {
    super(`the watch ended in the middle of a line, after ${bytes} bytes of it`);
    this.name = "TruncatedStream";
  }
}

/** Nothing came for so long (not even a bookmark) that the connection has to be dead. */
export class SilentStream extends Error {
  constructor(ms: number) {
    super(`the watch was silent for ${ms} ms`);
    this.name = "SilentStream";
  }
}

/** A line that is not a watch event. */
export class MalformedEvent extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`the watch sent ${what}`, options);
    this.name = "MalformedEvent";
  }
}

/** An object cannot be larger than etcd's limit of 1.5 MB (a few times that with managedFields). */
const maxLineBytes = 32 * 1024 * 1024;

/** Whole lines of a byte stream, without their newline; empty ones are left out. Throws `TruncatedStream`. */
export async function* lines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest: Uint8Array[] = [];
  let restBytes = 0;
  for await (const chunk of bytes) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...rest, chunk.subarray(from, end)]).toString("utf8");
      rest = [];
      restBytes = 0;
      from = end + 1;
      if (line.trim() !== "") yield line;
    }
    if (from < chunk.length) rest.push(chunk.subarray(from));
    restBytes += chunk.length - from;
    if (restBytes > maxLineBytes) throw new MalformedEvent(`a line of over ${maxLineBytes} bytes`);
  }
  if (restBytes > 0) throw new TruncatedStream(restBytes);
}

/** Parses one line. Throws `ApiError` for an ERROR event, `MalformedEvent` for anything unknown. */
export function parseEvent<T extends KubeObject>(line: string, what: string): WatchEvent<T> {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch (error) {
    throw new MalformedEvent("a line that is not JSON", { cause: error });
  }
  if (!isEvent(event)) throw new MalformedEvent("a line that is not an event");
  switch (event.type) {
    case "ERROR":
      throw apiErrorOf(500, event.object, what);
    case "BOOKMARK":
      return { type: event.type, resourceVersion: event.object.metadata?.resourceVersion ?? "" };
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
      if (event.object.metadata?.name === undefined) {
        throw new MalformedEvent("an object without a name");
      }
      return { type: event.type, object: event.object as T };
    default:
      throw new MalformedEvent(`an event of unknown type ${event.type}`);
  }
}

interface RawEvent {
  readonly type: string;
  readonly object: {
    readonly metadata?: { readonly name?: string; readonly resourceVersion?: string };
  };
}

function isEvent(event: unknown): event is RawEvent {
  return (
    typeof event === "object" &&
    event !== null &&
    "type" in event &&
    typeof event.type === "string" &&
    "object" in event &&
    typeof event.object === "object" &&
    event.object !== null
  );
}

/** Aborts a connection that has been silent for `silenceMs`; `touch` whenever something comes. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #silenceMs: number;
  readonly #bite: (reason: Error) => void;
  #heardAt: number;
  #cancel: () => void;

  constructor(clock: Clock, silenceMs: number, bite: (reason: Error) => void) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
    this.#bite = bite;
    this.#heardAt = clock.now();
    this.#cancel = clock.after(silenceMs, () => this.#check());
  }

  touch(): void {
    this.#heardAt = this.#clock.now();
  }

  stop(): void {
    this.#cancel();
  }

  /** One timer a silence, not one an event. */
  #check(): void {
    const leftMs = this.#heardAt + this.#silenceMs - this.#clock.now();
    if (leftMs > 0) this.#cancel = this.#clock.after(leftMs, () => this.#check());
    else this.#bite(new SilentStream(this.#silenceMs));
  }
}

/** How a watch connection ended, and so what comes next. */
export type WatchEnd =
  /** The server closed it in the normal way: go on at once from the last version. */
  | { readonly kind: "closed" }
  /** The version is too old, or one the server never had: list again. */
  | { readonly kind: "gone"; readonly cause: Error }
  /** Anything else: go on from the last version after a while. */
  | { readonly kind: "failed"; readonly cause: Error; readonly retryAfterMs: number | undefined };

/** Sorts the error that ended a watch. */
export function endOf(thrown: unknown): WatchEnd {
  const cause = asError(thrown);
  if (!(cause instanceof ApiError)) return { kind: "failed", cause, retryAfterMs: undefined };
  // "Too large resource version": the server's storage was set back, and our version never existed.
  const unknownVersion =
    cause.status === 504 && cause.message.includes("Too large resource version");
  if (cause.kind === "Gone" || unknownVersion) return { kind: "gone", cause };
  return { kind: "failed", cause, retryAfterMs: cause.retryAfterMs };
}
