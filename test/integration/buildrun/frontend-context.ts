// A context with the program of the frontend of tools/buildkit/frontend and the Dockerfile of its image, over HTTP.

import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { binary, serve } from "../../cluster/index.ts";

const run = promisify(execFile);
const dockerfile = path.join(import.meta.dirname, "frontend/Dockerfile");

/** A served archive. */
export interface FrontendContext {
  readonly url: string;
  stop(): Promise<void>;
}

/** Serves an archive with the program of the frontend and its Dockerfile. */
export async function frontendContext(): Promise<FrontendContext> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "kiln-frontend-"));
  await cp(dockerfile, path.join(folder, "Dockerfile"));
  await cp(await binary("test-frontend"), path.join(folder, "test-frontend"));
  const { stdout } = await run("tar", ["-cf", "-", "-C", folder, "Dockerfile", "test-frontend"], {
    encoding: "buffer",
    maxBuffer: 1 << 28,
  });
  await rm(folder, { recursive: true });
  const { url, stop } = await serve((_, response) => void response.end(stdout));
  return { url: `${url}/frontend.tar`, stop };
}
