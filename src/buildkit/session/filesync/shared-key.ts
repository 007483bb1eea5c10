// Under which name does a daemon keep what it has of a folder, so that the next sync sends only what changed?
import { createHash } from "node:crypto";
import { basename, resolve } from "node:path";

/**
 * A session's shared key for a folder: the same for the same folder of the same owner, as buildx forms its own
 * (`<name of the folder>:<hash>`). The owner says whose paths these are: a machine's id, or the name of a build that
 * always syncs the same folder. Two trees under one key are safe, but undo each other's work.
 */
export function sharedKeyOf(folder: string, owner: string): string {
  const path = resolve(folder);
  const hash = createHash("sha256").update(`${owner}\0${path}`).digest("hex");
  return `${basename(path)}:${hash}`;
}
