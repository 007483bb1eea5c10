// How do two tools at once build one thing once? A file with the owner's identity; a dead owner's is
// taken over.
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { identify, ProcessIdentity, stillRuns } from "./identity.ts";
import { say } from "./progress.ts";

const pollMs = 200;
const deadlineMs = 30 * 60_000;

function owner(file: string): ProcessIdentity | undefined {
  try {
    return ProcessIdentity.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return undefined;
  }
}

/** Takes the lock by a hard link, which fails if the name exists: the file is never half written. */
function take(file: string): boolean {
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, JSON.stringify(identify(process.pid)));
  try {
    linkSync(mine, file);
    return true;
  } catch {
    const holder = owner(file);
    if (holder !== undefined && !stillRuns(holder)) rmSync(file, { force: true });
    return false;
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Runs work while no other tool holds the same lock file. */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(path.dirname(file), { recursive: true });
  const end = Date.now() + deadlineMs;
  let told = false;
  while (!take(file)) {
    if (Date.now() > end) throw new Error(`another process has held ${file} for 30 minutes`);
    if (!told)
      say(`waiting for process ${owner(file)?.pid ?? "?"} that holds ${path.basename(file)}`);
    told = true;
    await delay(pollMs);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}
