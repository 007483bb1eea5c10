// A daemon's side of one stream, said message by message: for what no real daemon would ever send. Does not honour
// flow control: what it says is there at once.
import { setImmediate } from "node:timers/promises";
import type {
  Attachable,
  CallMetadata,
  MessageStream,
} from "../../../../src/buildkit/session/attachable.ts";

import { frameHead } from "../../../../src/buildkit/session/frames.ts";

/** What is said, in batches; an Error ends the stream with it, as a reset does. */
export type Script = (daemon: ScriptedDaemon) => AsyncIterable<readonly Buffer[] | Error>;

/** The daemon's end. */
export interface ScriptedDaemon {
  /** Messages of ours so far. */
  readonly heard: Buffer[];
  /** Waits for a message of ours that fits; gives up when we are done. */
  waitFor(fits: (message: Buffer) => boolean): Promise<Buffer | undefined>;
}

/** Plays a script against a streaming method; resolves to what we sent, rejects with how the call failed. */
export async function play(
  attachable: Attachable,
  script: Script,
  metadata: Readonly<Record<string, readonly string[]>> = {},
): Promise<Buffer[]> {
  const [method] = Object.values(attachable.methods).filter(({ kind }) => kind === "stream");
  if (method?.kind !== "stream") throw new TypeError("no streaming method");
  return playMethod((stream) => method.handle(stream), script, new Map(Object.entries(metadata)));
}

/** How an ERR packet of fsutil begins: its type, 4. */
const errorHead = Buffer.of(0x08, 0x04);

/** The same with the handler itself. */
export async function playMethod(
  handle: (stream: MessageStream) => Promise<void>,
  script: Script,
  metadata: CallMetadata = new Map(),
): Promise<Buffer[]> {
  const heard: Buffer[] = [];
  const end = new AbortController();
  let over = false;
  const daemon: ScriptedDaemon = {
    heard,
    async waitFor(fits) {
      for (;;) {
        const found = heard.find(fits);
        if (found !== undefined || over) return found;
        await setImmediate();
      }
    },
  };
  async function* batches(): AsyncGenerator<readonly Buffer[], void, undefined> {
    for await (const said of script(daemon)) {
      if (over) return;
      if (said instanceof Error) {
        end.abort(said);
        throw said;
      }
      yield said;
      await setImmediate();
    }
  }
  const all = batches();
  async function* messages(): AsyncGenerator<Buffer, void, undefined> {
    for await (const batch of all) yield* batch;
  }
  try {
    await handle({
      metadata,
      signal: end.signal,
      batches: all,
      messages: messages(),
      async readFrames(take) {
        for await (const batch of all) {
          const chunk = Buffer.concat(batch.flatMap((it) => [frameHead(it.length), it]));
          const room = take(chunk);
          chunk.fill(0xee); // it is there during the call only
          if (room !== undefined) await room;
        }
      },
      send(...parts) {
        const message = Buffer.concat(parts);
        heard.push(message);
        // fsutil's sender leaves when it is told of an error.
        if (message.subarray(0, 2).equals(errorHead)) end.abort();
        return undefined;
      },
      sendFrames: () => undefined,
    });
  } finally {
    over = true;
  }
  return heard;
}
