// The image store of an engine, for runs whose result is loaded there.

import type { EngineStore } from "../../agent/agent.ts";
import type { Engine } from "../../buildkit/index.ts";
import { loadImage, takesOci } from "../../docker/index.ts";
import { KilnError } from "../../errors/index.ts";

/** The image store of an engine. */
export function engineStore(engine: Engine): EngineStore {
  return {
    takesOci: (signal) => told(() => takesOci(engine, signal)),
    async load(signal) {
      const archive = await told(() => loadImage(engine, signal));
      return {
        write: (chunk) => told(() => archive.write(chunk)),
        finish: () => told(() => archive.finish()),
        abort: () => archive.abort(),
      };
    },
  };
}

async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new KilnError({
      class: "Infra",
      reason: "OutputPlaceFailed",
      message: `The Docker engine did not take the image: ${said.slice(0, 300).replace(/[.\s]+$/, "")}.`,
      cause: error,
    });
  }
}
