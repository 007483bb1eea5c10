// An image archive on its way into an engine's image store, as `docker load` sends it: sent while it is made, kept nowhere.
import type { Engine } from "../buildkit/index.ts";
import { uploadToEngine } from "./api.ts";
import { engineInfo } from "./containers.ts";

/** An archive that an engine is taking. */
export interface ImageLoad {
  /** Resolves when the engine's connection took the bytes. Rejects with `EngineRefusal` or the socket's error. */
  write(chunk: Uint8Array): Promise<void>;
  /** All came: the name of the image, or its ID when it has none. Rejects as `write`, and in the engine's words. */
  finish(): Promise<string>;
  /** The engine keeps nothing of it. */
  abort(): void;
}

interface Line {
  readonly stream?: string;
  readonly error?: string;
}

/** Whether the engine keeps images in containerd's store, which takes OCI layouts and images of several platforms. */
export async function takesOci(engine: Engine, signal: AbortSignal): Promise<boolean> {
  const { DriverStatus: status } = await engineInfo(engine, signal);
  return (status ?? []).some(([, value]) => value === "io.containerd.snapshotter.v1");
}

/** Begins to load an archive (POST /images/load, Engine API 1.51). Rejects when the engine can't be dialled. */
export async function loadImage(engine: Engine, signal: AbortSignal): Promise<ImageLoad> {
  const asked = { method: "POST", path: "/images/load", query: { quiet: "1" } } as const;
  const upload = await uploadToEngine(engine, asked, signal);
  return {
    write: (chunk) => upload.write(chunk),
    async finish() {
      const lines = (await upload.finish()) as readonly Line[];
      const failed = lines.find(({ error }) => error !== undefined);
      if (failed?.error !== undefined) throw new Error(failed.error);
      const names = lines.flatMap(
        ({ stream }) => /^Loaded image(?: ID)?: (\S+)/.exec(stream ?? "")?.[1] ?? [],
      );
      return names[0] ?? "";
    },
    abort: () => upload.abort(),
  };
}
