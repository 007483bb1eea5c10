// Makes the container of a Builder what it should be, one step at a time, and removes it.

import type { Engine } from "../../buildkit/index.ts";
import {
  type ContainerState,
  containerLog,
  engineInfo,
  hasImage,
  inspectContainer,
  isRefusal,
  pullImage,
  removeContainer,
  removeVolume,
  startContainer,
  startNewContainer,
} from "../../docker/index.ts";
import { oneLine } from "../health/problem.ts";
import { builderFault } from "../remote/secrets.ts";
import { containerStep, engineLabels, volumeName, type WantedContainer } from "./container.ts";

/** How long one question to an engine may take, in milliseconds. */
const askMs = 20_000;
const pullMs = 15 * 60_000;
const logLines = 5;

function soon(signal: AbortSignal, ms = askMs): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(ms)]);
}

/** A container that runs as it should: another identity is another daemon. Undefined: look again at once. */
export type Kept = { readonly identity: string } | undefined;

/** What a step has to know besides. */
export interface Around {
  /** Whether builds run on it. */
  isBusy(): boolean;
  /** Whether it is written down on the Builder: nothing is made that could be forgotten. */
  isRecorded(): boolean;
  /** The engine answered: it may soon have a container of the Builder. */
  onReached(): void;
}

/**
 * One step. Rejects with `KilnError` Builder `NameTaken`, `Draining`, `ImagePullFailed`, `ContainerCannotStart`,
 * `CrashLooping` or `Starting`; the engine's or the socket's error otherwise.
 */
export async function keepContainer(
  engine: Engine,
  wanted: WantedContainer,
  around: Around,
  signal: AbortSignal,
): Promise<Kept> {
  const { name } = wanted;
  const actual = await inspectContainer(engine, name, soon(signal));
  around.onReached();
  const step = containerStep(actual, wanted, around.isBusy());
  if (step === "keep") return { identity: `${actual?.Id ?? ""} ${actual?.State.StartedAt ?? ""}` };
  if (step === "wait") throw await waiting(engine, name, actual, signal);
  if (step === "start") await start(engine, name, actual, signal);
  else {
    mayMake(name, step, around);
    if (step === "recreate") await removeContainer(engine, name, soon(signal));
    await create(engine, wanted, signal);
  }
  return undefined;
}

/** Throws when it may not be made, or not yet. */
function mayMake(
  name: string,
  step: "create" | "recreate" | "drain" | "taken",
  around: Around,
): void {
  switch (step) {
    case "taken":
      throw builderFault(
        "NameTaken",
        `The Docker engine has a container "${name}" that is not this Builder's: remove it, set adopt with containerName to take it over, or give another containerName.`,
      );
    case "drain":
      throw builderFault(
        "Draining",
        `Container "${name}" is made anew as soon as its running builds have ended; it takes no new one.`,
      );
    case "create":
    case "recreate":
      if (!around.isRecorded())
        throw builderFault("Starting", `Container "${name}" is about to be made.`);
  }
}

async function create(engine: Engine, wanted: WantedContainer, signal: AbortSignal): Promise<void> {
  await pull(engine, wanted.image, signal);
  const info = await engineInfo(engine, soon(signal));
  const { name, files } = wanted;
  try {
    await startNewContainer(engine, { name, files, body: wanted.bodyOn(info) }, soon(signal));
  } catch (error) {
    throw cannotStart(name, error);
  }
}

/** As buildx does: an image that can't be pulled is no matter when the engine has it. */
async function pull(engine: Engine, image: string, signal: AbortSignal): Promise<void> {
  try {
    await pullImage(engine, image, soon(signal, pullMs));
  } catch (error) {
    if (signal.aborted || (await hasImage(engine, image, soon(signal)))) return;
    const said = oneLine(error instanceof Error ? error.message : String(error), 300);
    throw builderFault(
      "ImagePullFailed",
      `The Docker engine cannot pull ${image}: ${said}. Correct image, or let the engine reach its registry.`,
      error,
    );
  }
}

async function start(
  engine: Engine,
  name: string,
  actual: ContainerState | undefined,
  signal: AbortSignal,
): Promise<void> {
  const code = actual?.State.ExitCode ?? 0;
  const hasFailed = actual?.State.Status === "exited" && code !== 0;
  const problem = hasFailed ? await crashed(engine, name, code, signal) : undefined;
  try {
    await startContainer(engine, name, soon(signal));
  } catch (error) {
    throw cannotStart(name, error);
  }
  if (problem !== undefined) throw problem;
}

function cannotStart(name: string, error: unknown): unknown {
  if (!isRefusal(error)) return error;
  const message = `The Docker engine does not start container "${name}": ${oneLine(error.message, 300)}. Correct the options of the Builder.`;
  return builderFault("ContainerCannotStart", message, error);
}

async function waiting(
  engine: Engine,
  name: string,
  actual: ContainerState | undefined,
  signal: AbortSignal,
): Promise<Error> {
  if (actual?.State.Status === "restarting")
    return await crashed(engine, name, actual.State.ExitCode ?? 0, signal);
  return builderFault("Starting", `Container "${name}" is ${actual?.State.Status ?? "absent"}.`);
}

async function crashed(
  engine: Engine,
  name: string,
  code: number,
  signal: AbortSignal,
): Promise<Error> {
  const log = await containerLog(engine, name, logLines, soon(signal)).catch(() => "");
  const said = oneLine(log, 500);
  const message = `buildkitd in container "${name}" ends with code ${code}: ${said === "" ? "it said nothing" : said}`;
  return builderFault("CrashLooping", message);
}

/** A container that a Builder had. */
export interface HadContainer {
  readonly name: string;
  readonly uid: string;
  readonly keepVolume: boolean;
}

/** Removes it, and its volume unless that is kept. One that is gone, or somebody else's, is fine. Rejects as the engine's API. */
export async function removeOwned(
  engine: Engine,
  { name, uid, keepVolume }: HadContainer,
  signal: AbortSignal,
): Promise<void> {
  const actual = await inspectContainer(engine, name, soon(signal));
  if (actual !== undefined) {
    if (actual.Config.Labels?.[engineLabels.uid] !== uid) return;
    await removeContainer(engine, name, soon(signal));
  }
  if (!keepVolume) await removeVolume(engine, volumeName(name), soon(signal));
}
