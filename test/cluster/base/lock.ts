// How do two tools at once build one thing once? A file with the owner's identity; a dead owner's is
// taken over.
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
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

function take(file: string): boolean {
  try {
    return tryTake(file);
  } catch {
    // Another was faster at taking over; the next look tells whether it still holds the lock.
    return false;
  }
}

/** Takes the lock by a hard link, which fails if the name exists: the file is never half written. */
function tryTake(file: string): boolean {
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, JSON.stringify(identify(process.pid)));
  try {
    linkSync(mine, file);
    return true;
  } catch {
    const holder = owner(file);
    if (holder === undefined || stillRuns(holder)) return false;
    // Moved away first: of two that see a dead owner, one takes over and the other tries again.
    renameSync(file, `${mine}.dead`);
    rmSync(`${mine}.dead`);
    linkSync(mine, file);
    return true;
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
