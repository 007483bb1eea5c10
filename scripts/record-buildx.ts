// What does the real buildx ask a buildkitd for, flag by flag? Runs every line of test/unit/buildrun/buildx-cases.ts
// against a real buildkitd and writes its solve requests to test/unit/buildrun/recorded. By hand, as root, after a new
// buildx in tools/buildx or a new line: `node scripts/record-buildx.ts [name…]`.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { promisify } from "node:util";
import {
  binary,
  blobStore,
  buildkitd,
  dockerd,
  gitServer,
  registry,
  repositoryRoot,
  scratch,
  versionOf,
} from "../test/cluster/index.ts";
import {
  type BuildxCase,
  buildxCases,
  exampleCommit,
  lineOf,
  wordsOf,
} from "../test/unit/buildrun/buildx-cases.ts";
import { emptyIndex } from "../test/unit/buildrun/buildx-output-cases.ts";
import { ghaCache } from "../test/integration/buildrun/gha-cache.ts";
import { bridgeOf, controlOf, normalised, type Places, replaced } from "./recording.ts";
import { type Recorded, type RecordingEndpoint, recordingEndpoint } from "./recording-endpoint.ts";

const run = promisify(execFile);
const target = path.join(repositoryRoot, "test/unit/buildrun/recorded");
/** One line; a build that buildkitd would try again and again ends then, long after its requests. */
const lineMs = 60_000;

const dockerfile = "FROM scratch AS base\nCOPY Dockerfile /\nFROM base AS release\n";

/** A buildkitd that grants less refuses the line before the second request. */
const rights = 'insecure-entitlements = ["network.host", "security.insecure", "device"]';

function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text, { mode: 0o600 });
  }
}

const policy = {
  version: 1,
  rules: [
    {
      action: "CONVERT",
      selector: { identifier: "docker-image://docker.io/library/alpine:*" },
      updates: { identifier: "docker-image://registry.example/alpine:${1}" },
    },
    {
      action: "DENY",
      selector: {
        identifier: "^https://.*$",
        match_type: "REGEX",
        constraints: [{ key: "http.checksum", value: "", condition: "EQUAL" }],
      },
    },
  ],
};

async function prepareFolder(folder: string): Promise<void> {
  write(folder, {
    "context/Dockerfile": dockerfile,
    "context/docker/Containerfile": dockerfile,
    "other/Dockerfile": "FROM scratch\n",
    "repository/Dockerfile": dockerfile,
    npmrc: "token\n",
    "policy.json": JSON.stringify(policy),
  });
  const digest = createHash("sha256").update(emptyIndex).digest("hex");
  const name = { "org.opencontainers.image.ref.name": "latest" };
  const entry = {
    mediaType: "application/vnd.oci.image.index.v1+json",
    digest: `sha256:${digest}`,
    size: emptyIndex.length,
    annotations: name,
  };
  write(path.join(folder, "cached"), {
    "oci-layout": JSON.stringify({ imageLayoutVersion: "1.0.0" }),
    "index.json": JSON.stringify({ schemaVersion: 2, manifests: [entry] }),
    [`blobs/sha256/${digest}`]: emptyIndex,
  });
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path.join(folder, "key")]);
  await run("tar", [
    "-czf",
    path.join(folder, "context.tar.gz"),
    "-C",
    path.join(folder, "context"),
    ".",
  ]);
  const git = (...args: string[]) => run("git", ["-C", path.join(folder, "repository"), ...args]);
  await git("init", "-q", "-b", "main");
  await git("remote", "add", "origin", "https://git.example/app.git");
  await git("config", "user.name", "Test");
  await git("config", "user.email", "test@example.com");
  await git("add", ".");
  await git("commit", "-qm", "first");
}

/** A server of one archive. */
async function fileServer(file: string): Promise<{ host: string; stop: () => void }> {
  const server = http.createServer((_, response) => response.end(readFileSync(file)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { host: `127.0.0.1:${port}`, stop: () => server.close() };
}

function recordingOf(line: BuildxCase, recorded: Recorded): Record<string, unknown> {
  // Besides the build, buildx looks by an internal solve what the daemon can, and in a git repository for a policy.
  // A question instead of a build is internal, too: it is the last.
  const builds = recorded.control.filter(({ internal }) => !internal);
  const control = builds.length > 0 ? builds : recorded.control.slice(-1);
  const bridge = recorded.bridge.filter(({ frontend }) => frontend !== "");
  const [first] = control;
  const [frontend] = bridge;
  if (first === undefined || frontend === undefined || control.length + bridge.length > 2)
    throw new Error(`${line.name}: ${control.length} and ${bridge.length} solves, not one of each`);
  return {
    buildx: versionOf("buildx"),
    line: lineOf(line),
    control: controlOf(first),
    bridge: bridgeOf(frontend),
  };
}

interface Stage {
  readonly places: Places;
  readonly endpoint: RecordingEndpoint;
  readonly folder: string;
  readonly program: string;
}

type Stop = () => unknown;

/** What the lines build from and push to. */
async function servers(folder: string, stops: Stop[]): Promise<Places> {
  const images = await registry();
  stops.push(() => images.stop());
  const repositories = await gitServer();
  stops.push(() => repositories.stop());
  const commit = await repositories.commit("app", {
    Dockerfile: dockerfile,
    "web/Dockerfile": dockerfile,
    "docker/Containerfile": dockerfile,
  });
  // Without these a buildkitd refuses the line before the second request.
  const azure = await blobStore("shop");
  stops.push(() => azure.stop());
  const github = await ghaCache();
  stops.push(() => github.stop());
  const engine = await dockerd();
  stops.push(() => engine.stop());
  const files = await fileServer(path.join(folder, "context.tar.gz"));
  stops.push(files.stop);
  return {
    "registry.example": images.host,
    "http://git.example/app.git": repositories.url("app"),
    "files.example": files.host,
    "https://shop.blob.example": azure.accountUrl,
    "AZURE-KEY": azure.key,
    "https://cache.example/": github.url,
    "GHA-TOKEN": github.token,
    "ENGINE-SOCKET": engine.socket,
    [exampleCommit]: commit,
    FOLDER: folder,
  };
}

function environment({ folder }: Pick<Stage, "folder">): NodeJS.ProcessEnv {
  return {
    PATH: process.env["PATH"],
    HOME: folder,
    BUILDX_CONFIG: path.join(folder, ".buildx"),
    DOCKER_CONFIG: path.join(folder, ".docker"),
  };
}

/** Runs one line, and says how it ended. A line that is refused after its requests is recorded all the same. */
async function play(line: BuildxCase, stage: Stage): Promise<string> {
  const real = (text: string) => replaced(text, Object.entries(stage.places));
  const more = Object.entries(line.env ?? {}).map(([key, value]) => [key, real(value)]);
  const words = ["build", "--builder=recorder", "--progress=plain", ...wordsOf(line).map(real)];
  const playing = run(stage.program, words, {
    env: { ...environment(stage), ...Object.fromEntries(more) },
    timeout: lineMs,
  });
  playing.child.stdin?.end(line.stdin ?? "");
  return await playing.then(
    () => "built",
    (error: { stderr?: string }) => `refused: ${error.stderr?.trim().split("\n").at(-1) ?? ""}`,
  );
}

async function record(lines: readonly BuildxCase[], stage: Stage): Promise<void> {
  const { endpoint, program } = stage;
  const policyFile = path.join(stage.folder, "policy.json");
  writeFileSync(policyFile, replaced(JSON.stringify(policy), Object.entries(stage.places)));
  const create = ["create", "--driver=remote", "--name=recorder", endpoint.address];
  await run(program, create, { env: environment(stage) });
  mkdirSync(target, { recursive: true });
  for (const line of lines) {
    console.log(`${line.name}: ${await play(line, stage)}`);
    const text = normalised(recordingOf(line, endpoint.take()), stage.places);
    writeFileSync(path.join(target, `${line.name}.json`), `${text}\n`);
  }
}

async function main(names: readonly string[]): Promise<void> {
  const place = scratch("record");
  const stops: Stop[] = [() => place.remove()];
  try {
    const { folder } = place;
    await prepareFolder(folder);
    const places = await servers(folder, stops);
    const daemon = await buildkitd({ mirror: false, config: rights });
    stops.push(() => daemon.stop());
    const endpoint = await recordingEndpoint(daemon.address.replace("unix://", ""));
    stops.push(() => endpoint.stop());
    const chosen = buildxCases.filter(({ name }) => names.length === 0 || names.includes(name));
    if (names.length === 0) rmSync(target, { recursive: true, force: true });
    await record(chosen, { places, endpoint, folder, program: await binary("buildx") });
    await run(path.join(repositoryRoot, "node_modules/.bin/biome"), ["format", "--write", target]);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

await main(process.argv.slice(2));
