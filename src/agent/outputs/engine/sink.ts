// An image archive as it goes into the Docker engine behind the daemon.
import type { FileSink } from "../../../buildkit/index.ts";
import { KilnError } from "../../../errors/index.ts";
import type { EngineStore } from "../../agent.ts";
import type { Opening } from "../opening.ts";
import { piecewise } from "../pieces.ts";

/** Streams an archive into the engine's image store. */
export function engineSink({ exporter, materials, signal, done, fail }: Opening): () => FileSink {
  return () => {
    let opened: ReturnType<EngineStore["load"]> | undefined;
    const load = (): ReturnType<EngineStore["load"]> =>
      (opened ??= materials.engine?.load(signal) ?? Promise.reject(noEngine()));
    return piecewise(
      {
        write: async (piece) => await (await load()).write(piece),
        async finish(rest, passed) {
          const archive = await load();
          if (rest.length > 0) await archive.write(rest);
          done({ exporter, location: `engine://${await archive.finish()}`, ...passed });
        },
        async abort() {
          (await opened)?.abort();
        },
      },
      fail,
    );
  };
}

function noEngine(): KilnError {
  return new KilnError({
    class: "User",
    reason: "NoEngineToLoad",
    message:
      "There is no Docker engine behind this builder: push the image, or give the archive another place, in a new run.",
  });
}
