// What does the real `docker buildx bake` make of a file? Writes what `--print` says to test/unit/bake/printed, for every call
// of test/unit/bake/bake-cases.ts, and its solve requests, target by target, to test/unit/bake/recorded. By hand, as root,
// after a new buildx in tools/buildx or a new case: `node scripts/record-bake.ts`.

import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import {
  binary,
  buildkitd,
  gitServer,
  registry,
  repositoryRoot,
  scratch,
  versionOf,
} from "../test/cluster/index.ts";
import {
  type PrintedCase,
  printedCases,
  requestFile,
  requestTargets,
} from "../test/unit/bake/bake-cases.ts";
import { bridgeOf, controlOf, normalised, type Places, replaced } from "./recording.ts";
import { type RecordingEndpoint, recordingEndpoint } from "./recording-endpoint.ts";
import { readFileSync } from "node:fs";

const run = promisify(execFile);
const source = path.join(repositoryRoot, "test/unit/bake/files");
const printedFolder = path.join(repositoryRoot, "test/unit/bake/printed");
const recordedFolder = path.join(repositoryRoot, "test/unit/bake/recorded");
const dockerfile = "FROM scratch AS base\nCOPY Dockerfile /\nFROM base AS release\n";
/** A buildkitd that grants less refuses a target before the second request. */
const rights = 'insecure-entitlements = ["network.host", "security.insecure"]';
const buildMs = 60_000;

async function buildx(words: readonly string[], folder: string): Promise<string> {
  const env = {
    PATH: process.env["PATH"],
    HOME: folder,
    BUILDX_CONFIG: path.join(folder, ".buildx"),
    DOCKER_CONFIG: path.join(folder, ".docker"),
    BUILDX_BAKE_ENTITLEMENTS_FS: "0",
    TOKEN: "token",
  };
  const options = { cwd: folder, env, timeout: buildMs };
  return (await run(await binary("buildx"), [...words], options)).stdout;
}

function printWords({ file, targets = [], set = [] }: PrintedCase): readonly string[] {
  const more = [...set.map((one) => `--set=${one}`), ...targets];
  return ["bake", `--file=${file}`, "--print", "--progress=quiet", ...more];
}

function emptied(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}

async function prepareFolder(folder: string): Promise<void> {
  writeFileSync(path.join(folder, "Dockerfile"), dockerfile);
  // buildx looks whether what secrets name is there.
  writeFileSync(path.join(folder, "npmrc"), "token\n");
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path.join(folder, "key")]);
  for (const file of new Set(printedCases.map((one) => one.file)))
    copyFileSync(path.join(source, file), path.join(folder, file));
}

interface Stage {
  readonly folder: string;
  readonly places: Places;
  readonly endpoint: RecordingEndpoint;
}

/** Builds one target. What is refused after its requests is recorded all the same. */
async function record(target: string, { folder, places, endpoint }: Stage): Promise<void> {
  const allow = ["network.host", "security.insecure", "ssh"].map((right) => `--allow=${right}`);
  const words = ["bake", "--builder=recorder", `--file=${requestFile}`, "--progress=plain"];
  const how = await buildx([...words, ...allow, target], folder).then(
    () => "built",
    (error: { stderr?: string }) => `refused: ${error.stderr?.trim().split("\n").at(-1) ?? ""}`,
  );
  const { control, bridge } = endpoint.take();
  // Besides the build, buildx looks by an internal solve what the daemon can. A question is internal, too: it is the last.
  const builds = control.filter(({ internal }) => !internal);
  const recorded = {
    buildx: versionOf("buildx"),
    control: (builds.length > 0 ? builds : control.slice(-1)).map(controlOf),
    bridge: bridge.filter(({ frontend }) => frontend !== "").map(bridgeOf),
  };
  console.log(`${target}: ${recorded.control.length}, ${recorded.bridge.length}, ${how}`);
  const text = normalised(recorded, places);
  writeFileSync(path.join(recordedFolder, `${target}.json`), `${text}\n`);
}

type Stop = () => unknown;

async function requests(folder: string, stops: Stop[]): Promise<void> {
  const images = await registry();
  stops.push(() => images.stop());
  const repositories = await gitServer();
  stops.push(() => repositories.stop());
  await repositories.commit("app", { Dockerfile: dockerfile, "web/Dockerfile": dockerfile });
  const daemon = await buildkitd({ mirror: false, config: rights });
  stops.push(() => daemon.stop());
  const endpoint = await recordingEndpoint(daemon.address.replace("unix://", ""));
  stops.push(() => endpoint.stop());
  const places = {
    "registry.example": images.host,
    "http://git.example/app.git": repositories.url("app"),
    FOLDER: folder,
  };
  const text = readFileSync(path.join(source, requestFile), "utf8");
  writeFileSync(path.join(folder, requestFile), replaced(text, Object.entries(places)));
  await buildx(["create", "--driver=remote", "--name=recorder", endpoint.address], folder);
  emptied(recordedFolder);
  for (const target of requestTargets) await record(target, { folder, places, endpoint });
}

async function main(): Promise<void> {
  const place = scratch("record-bake");
  const stops: Stop[] = [() => place.remove()];
  try {
    const { folder } = place;
    await prepareFolder(folder);
    emptied(printedFolder);
    for (const one of printedCases) {
      const text = await buildx(printWords(one), folder);
      writeFileSync(path.join(printedFolder, `${one.name}.json`), text);
    }
    await requests(folder, stops);
    const format = ["format", "--write", printedFolder, recordedFolder];
    await run(path.join(repositoryRoot, "node_modules/.bin/biome"), format);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

await main();
