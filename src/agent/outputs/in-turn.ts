// What comes from the session is there for a moment only, and more may come while a place is slow: it is copied, and
// handed on in turn.
import type { FileSink } from "../../buildkit/index.ts";

/** A sink before another one that may keep what it is given, and is given it piece by piece. */
export function inTurn(sink: FileSink): FileSink {
  const queue: Buffer[] = [];
  let running: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;
  const drain = async (): Promise<void> => {
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift())
        await sink.write([next]);
    } catch (error) {
      failure = { error };
      throw error;
    } finally {
      queue.length = 0;
      running = undefined;
    }
  };
  return {
    write(pieces) {
      if (failure !== undefined) return Promise.reject(failure.error);
      queue.push(Buffer.concat(pieces));
      running ??= drain();
      return running;
    },
    async finish() {
      await running;
      if (failure !== undefined) throw failure.error;
      await sink.finish();
    },
    async abort() {
      queue.length = 0;
      await running?.catch(() => undefined);
      await sink.abort();
    },
  };
}
