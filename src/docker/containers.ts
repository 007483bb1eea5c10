// Containers, volumes and images of an engine: what Kiln asks for its buildkitd. Each rejects as `askEngine`.
import type { Engine } from "../buildkit/index.ts";
import { askEngine, followEngine, isRefusal } from "./api.ts";
import { OutputReader } from "./frames.ts";
import { tarOf, type TarFile } from "./tar.ts";

/** A container as its engine shows it. */
export interface ContainerState {
  readonly Id: string;
  readonly Config: { readonly Labels?: Readonly<Record<string, string>> | null };
  readonly State: {
    readonly Status: string;
    readonly StartedAt?: string;
    readonly ExitCode?: number;
    readonly Error?: string;
  };
  readonly RestartCount?: number;
}

/** What an engine says of itself, as far as Kiln looks. */
export interface EngineInfo {
  readonly CgroupDriver?: string;
  readonly SecurityOptions?: readonly string[] | null;
  readonly DriverStatus?: readonly (readonly string[])[] | null;
}

const containerPath = (name: string): string => `/containers/${encodeURIComponent(name)}`;
const maxLogBytes = 64 * 1024;

/** Undefined when there is none. */
export async function inspectContainer(
  engine: Engine,
  name: string,
  signal: AbortSignal,
): Promise<ContainerState | undefined> {
  const asked = { method: "GET", path: `${containerPath(name)}/json` } as const;
  return (await unlessGone(askEngine(engine, asked, signal))) as ContainerState | undefined;
}

/** What the engine says of itself. */
export async function engineInfo(engine: Engine, signal: AbortSignal): Promise<EngineInfo> {
  return (await askEngine(engine, { method: "GET", path: "/info" }, signal)) as EngineInfo;
}

/** Creates, fills with files and starts a container; removes it again when that fails. */
export async function startNewContainer(
  engine: Engine,
  made: { readonly name: string; readonly body: object; readonly files: readonly TarFile[] },
  signal: AbortSignal,
): Promise<void> {
  const { name, body, files } = made;
  await askEngine(
    engine,
    { method: "POST", path: "/containers/create", query: { name }, body },
    signal,
  );
  try {
    if (files.length > 0) {
      const path = `${containerPath(name)}/archive`;
      const tar = { method: "PUT", path, query: { path: "/" }, body: tarOf(files) } as const;
      await askEngine(engine, tar, signal);
    }
    await startContainer(engine, name, signal);
  } catch (error) {
    await removeContainer(engine, name, signal).catch(() => undefined);
    throw error;
  }
}

/** Starts one that does not run. */
export async function startContainer(
  engine: Engine,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  await askEngine(engine, { method: "POST", path: `${containerPath(name)}/start` }, signal);
}

/** Ends and removes it; its named volumes stay. One that is gone is fine. */
export async function removeContainer(
  engine: Engine,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const asked = {
    method: "DELETE",
    path: containerPath(name),
    query: { force: "true", v: "true" },
  } as const;
  await unlessGone(askEngine(engine, asked, signal));
}

/** Removes a volume. One that is gone is fine. */
export async function removeVolume(
  engine: Engine,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const path = `/volumes/${encodeURIComponent(name)}`;
  await unlessGone(askEngine(engine, { method: "DELETE", path }, signal));
}

/** Pulls an image: `repository[:tag][@digest]`. Rejects with the engine's words when it cannot be pulled. */
export async function pullImage(engine: Engine, image: string, signal: AbortSignal): Promise<void> {
  const [, repository = image, tag, digest] =
    /^(.*?)(?::([A-Za-z0-9_][\w.-]*))?(?:@(.*))?$/.exec(image) ?? [];
  const query = { fromImage: repository, tag: digest ?? tag ?? "latest" };
  let problem: string | undefined;
  const onLine = (line: unknown): void => {
    const { error } = line as { readonly error?: string };
    problem ??= error;
  };
  await followEngine(engine, { method: "POST", path: "/images/create", query }, { onLine, signal });
  if (problem !== undefined) throw new Error(problem);
}

/** Whether the engine has the image. */
export async function hasImage(
  engine: Engine,
  image: string,
  signal: AbortSignal,
): Promise<boolean> {
  const path = `/images/${image}/json`;
  return (await unlessGone(askEngine(engine, { method: "GET", path }, signal))) !== undefined;
}

/** The last lines that a container wrote. */
export async function containerLog(
  engine: Engine,
  name: string,
  lines: number,
  signal: AbortSignal,
): Promise<string> {
  const query = { stdout: "true", stderr: "true", tail: String(lines) };
  const asked = { method: "GET", path: `${containerPath(name)}/logs`, query } as const;
  const bytes = await askEngine(engine, { ...asked, answer: "bytes" }, signal);
  const pieces = new OutputReader().read((bytes as Buffer | undefined) ?? Buffer.alloc(0));
  return Buffer.concat(pieces.map(({ data }) => data))
    .subarray(-maxLogBytes)
    .toString("utf8")
    .trim();
}

async function unlessGone(asked: Promise<unknown>): Promise<unknown> {
  try {
    return (await asked) ?? {};
  } catch (error) {
    if (isRefusal(error, 404)) return undefined;
    throw error;
  }
}
