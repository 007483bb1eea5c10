// How is a program started so that it can be ended for certain? Each is recorded with its identity
// before anything waits for it; one that belongs to a test dies with the test (parent-death signal);
// an isolated one takes its children and mounts with it (own pid and mount namespace).
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { childrenOf, identify, ProcessIdentity, signal, stillRuns } from "./identity.ts";

const pollMs = 25;
const politeMs = 5_000;
/** What `endAll` ends has nothing to save: its folder is removed next. */
const stateless = 500;
/** Variable in the environment of everything that is started, by which a lost process is found. */
const ownerVariable = "KILN_OWNER_FOLDER";

/** What to start and who owns it. */
export interface StartOptions {
  /** Name of the record and the log file. */
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** Folder that gets `pids/<name>.json` and `logs/<name>.log`. */
  readonly folder: string;
  /** Variables added to this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Own pid and mount namespace: ending it ends every child and undoes every mount. "network": an
   * own network namespace as well, whose links and rules go with it.
   */
  readonly isolate?: boolean | "network";
  /** True: lives on when this tool ends (`up`). False: dies with this process, even by SIGKILL. */
  readonly survives?: boolean;
}

/** A program that this tool started. */
export interface RunningProcess {
  readonly name: string;
  readonly identity: ProcessIdentity;
  readonly logFile: string;
  running(): boolean;
  /** The last lines of its log. */
  logTail(lines?: number): string;
  /** Asks it to end, then makes it; returns when it has ended. */
  stop(): Promise<void>;
}

function recordFile(folder: string, name: string): string {
  return path.join(folder, "pids", `${name}.json`);
}

function wrap(options: StartOptions): [string, string[]] {
  const [program, ...args] = options.command;
  let line = [program, ...args];
  // --kill-child: when unshare dies, its child, the first process of the namespace, is killed.
  if (options.isolate !== undefined && options.isolate !== false) {
    const namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if (options.isolate === "network") namespaces.push("--net");
    line = ["unshare", ...namespaces, "--", ...line];
  }
  if (options.survives !== true) line = ["setpriv", "--pdeathsig", "KILL", "--", ...line];
  const [first = program, ...rest] = line;
  return [first, rest];
}

/**
 * Starts a program and records it.
 * @throws when the program does not exist
 */
export async function start(options: StartOptions): Promise<RunningProcess> {
  for (const sub of ["pids", "logs"])
    mkdirSync(path.join(options.folder, sub), { recursive: true });
  const logFile = path.join(options.folder, "logs", `${options.name}.log`);
  const log = openSync(logFile, "a");
  const [program, args] = wrap(options);
  const child = spawn(program, args, {
    cwd: options.folder,
    detached: true,
    stdio: ["ignore", log, log],
    env: { ...process.env, ...options.env, [ownerVariable]: options.folder },
  });
  closeSync(log);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  child.unref();
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) {
    throw new Error(`${options.name} ended as soon as it started:\n${tail(logFile, 20)}`);
  }
  writeFileSync(recordFile(options.folder, options.name), JSON.stringify(identity));
  return {
    name: options.name,
    identity,
    logFile,
    running: () => stillRuns(identity),
    logTail: (lines = 20) => tail(logFile, lines),
    stop: () =>
      end(identity).then(() => rmSync(recordFile(options.folder, options.name), { force: true })),
  };
}

/** The last lines of a file, or "" when it cannot be read. */
export function tail(file: string, lines: number): string {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "";
  }
}

async function ended(identity: ProcessIdentity, withinMs: number): Promise<boolean> {
  const end = Date.now() + withinMs;
  while (stillRuns(identity)) {
    if (Date.now() > end) return false;
    await delay(pollMs);
  }
  return true;
}

/**
 * Ends a recorded process: SIGTERM, then SIGKILL after five seconds. `unshare` blocks SIGTERM and
 * passes nothing on, so the first process of its namespace is asked instead.
 * @throws when it survives SIGKILL
 */
export async function end(identity: ProcessIdentity, o: { politeMs?: number } = {}): Promise<void> {
  if (!stillRuns(identity)) return;
  const isWrapper = tailName(identity.pid) === "unshare";
  const inner = isWrapper ? childrenOf(identity.pid).map(identify) : [];
  for (const target of [...inner, ...(isWrapper ? [] : [identity])]) {
    if (target !== undefined) signal(target, "SIGTERM");
  }
  if (await ended(identity, o.politeMs ?? politeMs)) return;
  signal(identity, "SIGKILL");
  for (const target of inner) {
    if (target === undefined) continue;
    signal(target, "SIGKILL");
    await ended(target, politeMs);
  }
  if (!(await ended(identity, politeMs))) {
    throw new Error(`process ${identity.pid} does not end, even by SIGKILL`);
  }
}

function tailName(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}

/** Processes whose environment names `folder` as their owner: started, but perhaps not recorded. */
function ownedBy(folder: string): ProcessIdentity[] {
  const mark = `${ownerVariable}=${folder}\0`;
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, "utf8").includes(mark)) return [];
    } catch {
      return [];
    }
    const identity = identify(Number(pid));
    return identity === undefined || identity.pid === process.pid ? [] : [identity];
  });
}

/** Ends every process of a state folder: the recorded ones, and strays by their environment. */
export async function endAll(folder: string): Promise<void> {
  const pids = path.join(folder, "pids");
  const names = existsSync(pids)
    ? readdirSync(pids).map((file) => path.basename(file, ".json"))
    : [];
  const known = names.flatMap((name) => recorded(folder, name) ?? []);
  await Promise.all([...known, ...ownedBy(folder)].map((one) => end(one, { politeMs: stateless })));
  rmSync(pids, { recursive: true, force: true });
}

/** Reads a process record; undefined when there is none that can be read. */
export function recorded(folder: string, name: string): ProcessIdentity | undefined {
  try {
    return ProcessIdentity.parse(JSON.parse(readFileSync(recordFile(folder, name), "utf8")));
  } catch {
    return undefined;
  }
}

/** What to wait for, for how long, and which processes must not end meanwhile. */
export interface WaitOptions {
  readonly deadlineMs: number;
  readonly processes?: readonly RunningProcess[];
}

/**
 * Polls until `check` gives a value other than undefined.
 * @throws with the last lines of the log when a process ended or the time is up
 */
export async function waitFor<T>(
  what: string,
  check: () => Promise<T | undefined>,
  options: WaitOptions,
): Promise<T> {
  const end = Date.now() + options.deadlineMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value !== undefined) return value;
    } catch (error) {
      lastError = error;
    }
    const dead = options.processes?.find((p) => !p.running());
    if (dead !== undefined) {
      throw new Error(`${dead.name} ended while waiting for ${what}:\n${dead.logTail()}`);
    }
    if (Date.now() > end) {
      const logs = (options.processes ?? []).map((p) => `${p.name}:\n${p.logTail(10)}`).join("\n");
      throw new Error(`no ${what} after ${options.deadlineMs / 1000} s\n${logs}`, {
        cause: lastError,
      });
    }
    await delay(pollMs);
  }
}
