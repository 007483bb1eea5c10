// A real buildkitd, a client of it and a folder of its own for each test: what most tests of a session begin with.
import { mkdirSync } from "node:fs";
import path from "node:path";
import { connect, parseEndpoint, type BuildkitClient } from "../../../src/buildkit/index.ts";
import { buildkitd, scratch, type Buildkitd, type Scratch } from "../../cluster/index.ts";

/** What the tests of one `describe` share. */
export interface DaemonPlace {
  readonly daemon: Buildkitd;
  readonly client: BuildkitClient;
  /** The folder of the test that runs. */
  readonly folder: string;
  /** A path in it. */
  at(...names: string[]): string;
}

/** Registers the hooks that start and end it all; call it inside a `describe`. */
export function daemonPlace(name: string): DaemonPlace {
  const place = {} as { daemon: Buildkitd; client: BuildkitClient; folder: string };
  let parent: Scratch;
  let count = 0;
  before(async () => {
    place.daemon = await buildkitd();
    place.client = connect(parseEndpoint(place.daemon.address));
    parent = scratch(name);
  });
  after(async () => {
    place.client.close();
    await place.daemon.stop();
    parent.remove();
  });
  beforeEach(() => {
    place.folder = path.join(parent.folder, `t${count++}`);
    mkdirSync(place.folder);
  });
  return Object.assign(place, { at: (...names: string[]) => path.join(place.folder, ...names) });
}
