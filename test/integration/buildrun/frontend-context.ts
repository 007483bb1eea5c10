// A context with the program of the frontend of tools/buildkit/frontend and the Dockerfile of its image, over HTTP.

import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { binary } from "../../cluster/index.ts";

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
  const server = http.createServer((_, response) => response.end(stdout));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/frontend.tar`;
  const stop = async (): Promise<void> => await new Promise((done) => server.close(() => done()));
  return { url, stop };
}
