// Where the benchmark happens: a buildkitd whose state is in memory, and folders beside it.
import { execFile } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import {
  buildctlPath,
  buildkitd,
  repositoryRoot,
  scratch,
  type Buildkitd,
} from "../../test/cluster/index.ts";
import { kilnProgram, type KilnProgram } from "./clients.ts";

const exec = promisify(execFile);

/** What every case may use. */
export interface World {
  readonly endpoint: string;
  /** Path of the daemon's unix socket. */
  readonly socket: string;
  readonly daemon: Buildkitd;
  readonly buildctl: string;
  readonly kiln: KilnProgram;
  /** A new empty folder. */
  folder(name: string): string;
  /** Drops all that the daemon keeps and nothing uses. */
  prune(): Promise<void>;
  /** The same, and removes every folder: the next case begins with nothing. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** Compiles the client into dist and bundles the program, as they are installed. */
export async function compile(): Promise<void> {
  await exec(path.join(repositoryRoot, "node_modules/.bin/tsc"), ["-b", repositoryRoot]);
  await exec(process.execPath, [path.join(repositoryRoot, "scripts/bundle.ts")]);
}

/** Starts a daemon. On tmpfs, so that no disk is measured. */
export async function world(): Promise<World> {
  process.env["TMPDIR"] = "/dev/shm";
  const place = scratch("bench");
  process.env["NODE_COMPILE_CACHE"] = path.join(place.folder, "compile-cache");
  const daemon = await buildkitd({ config: "[worker.oci]\n  gc = false\n" });
  const buildctl = await buildctlPath();
  const files = path.join(place.folder, "files");
  const prune = async (): Promise<void> => void (await daemon.buildctl(["prune", "--all"]));
  return {
    endpoint: daemon.address,
    socket: daemon.address.replace("unix://", ""),
    daemon,
    buildctl,
    kiln: kilnProgram(place.folder, path.join(repositoryRoot, "dist")),
    folder(name) {
      const folder = path.join(files, name);
      mkdirSync(folder, { recursive: true });
      return folder;
    },
    prune,
    async clear() {
      await prune();
      rmSync(files, { recursive: true });
    },
    async stop() {
      await daemon.stop();
      place.remove();
    },
  };
}
