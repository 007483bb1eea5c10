// How does a test get a real buildkitd that builds an unmodified `FROM debian:bookworm-slim`?
import { binary } from "../base/binaries.ts";
import { scratch } from "../base/scratch.ts";
import { type BaseImages, baseImages } from "../images/images.ts";
import { type Buildkitd, type BuildkitdSettings, startBuildkitd } from "./buildkitdProcess.ts";

/** What a test may choose about its buildkitd. */
export interface BuildkitdOptions extends Omit<BuildkitdSettings, "mirrorHost"> {
  /** Base images to mirror as docker.io. Default: a registry of its own; false: no mirror. */
  readonly mirror?: BaseImages | false;
}

/**
 * A buildkitd for a test, with its state in a temporary folder. It dies with the test's process;
 * `stop` ends it and removes the folder.
 */
export async function buildkitd(options: BuildkitdOptions = {}): Promise<Buildkitd> {
  const { mirror: chosen, ...rest } = options;
  const own = chosen === undefined ? await baseImages() : undefined;
  const mirror = own ?? (chosen === false ? undefined : chosen);
  const place = scratch("buildkitd");
  const clean = async (): Promise<void> => {
    await own?.stop();
    place.remove();
  };
  const mirrorHost = mirror === undefined ? {} : { mirrorHost: mirror.host };
  try {
    const running = await startBuildkitd({
      ...rest,
      ...mirrorHost,
      folder: place.folder,
      cgroup: place.id,
    });
    return { ...running, stop: () => running.stop().then(clean, clean) };
  } catch (error) {
    await clean();
    throw error;
  }
}

/** The path of buildctl, as a peer to compare with. */
export function buildctlPath(): Promise<string> {
  return binary("buildctl");
}
