// Where does a test keep its data, and who removes it when the test was killed? Each folder names its
// owner; the next tool that makes one removes the folders of dead owners.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { cgroupsLike, removeCgroups } from "./cgroups.ts";
import { identify, ProcessIdentity, stillRuns } from "./identity.ts";

const prefix = "kiln-test-";
const ownerFile = "owner.json";

/** A folder of this process that may be swept after its death. */
export interface Scratch {
  readonly folder: string;
  /** Name for kernel objects (cgroups) that go with the folder. */
  readonly id: string;
  remove(): void;
}

function removeScratch(folder: string): void {
  removeCgroups(path.basename(folder));
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

function ownerOf(folder: string): ProcessIdentity | undefined {
  try {
    return ProcessIdentity.parse(JSON.parse(readFileSync(path.join(folder, ownerFile), "utf8")));
  } catch {
    return undefined;
  }
}

/** Removes what tests that were killed left in the temporary folder. Their processes died with them. */
export function sweepScratch(): void {
  for (const name of readdirSync(os.tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const folder = path.join(os.tmpdir(), name);
    const owner = ownerOf(folder);
    if (owner !== undefined && !stillRuns(owner)) removeScratch(folder);
  }
  // Groups whose folder is gone already: the kernel held on to them when it went.
  for (const name of cgroupsLike(prefix)) {
    if (!existsSync(path.join(os.tmpdir(), name))) removeCgroups(name);
  }
}

/** Makes a fresh folder owned by this process. */
export function scratch(what: string): Scratch {
  sweepScratch();
  const folder = mkdtempSync(path.join(os.tmpdir(), `${prefix}${what}-`));
  writeFileSync(path.join(folder, ownerFile), JSON.stringify(identify(process.pid)));
  mkdirSync(path.join(folder, "pids"), { recursive: true });
  return { folder, id: path.basename(folder), remove: () => removeScratch(folder) };
}
