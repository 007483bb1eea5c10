// What every test with a scripted agent begins with: an API server for the suite; a namespace, a Builder of two slots and
// a controller for the test. After each test nothing may be followed, held or logged as an error.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach } from "mocha";
import type { JobOutcome } from "../../../src/agent/agent.ts";
import type { BuildRun } from "../../../src/api/v1alpha1/index.ts";
import type { RunLimits } from "../../../src/buildrun/index.ts";
import { instanceAt, TestFleet } from "./fleet.ts";
import { aNamespace, type Kiln, type Server, startKiln, startServer, until } from "./kiln.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

export const digest = `sha256:${"a".repeat(64)}`;
/** An outcome as an agent reports it. */
export const succeeded: JobOutcome = {
  kind: "succeeded",
  facts: {
    images: [{ digest, size: 42, platforms: [{ platform: "linux/amd64", digest, size: 42 }] }],
    baseImages: [],
  },
  finishedAt: new Date().toISOString(),
};
/** A failure that may pass. */
export const registryDown: JobOutcome & { kind: "failed" } = {
  kind: "failed",
  failure: {
    class: "Registry",
    reason: "RegistryUnavailable",
    message: "The registry failed.",
    retryable: true,
    logTail: [],
  },
  finishedAt: new Date().toISOString(),
};
export const output = { outputs: [{ image: { tags: ["registry.example/web:1"] } }] };

/** The parts of the running test. */
export interface Scene {
  server: Server;
  namespace: string;
  agent: ScriptedAgent;
  fleet: TestFleet;
  kiln: Kiln;
}

export const socket = { kind: "unix", path: "/none" } as const;

/** Registers the hooks of a suite; the scene is filled when a test runs. */
export function aScene(): Scene {
  const scene = {} as Scene;
  before(async () => {
    scene.server = await startServer();
  });
  after(async () => await scene.server.stop());
  beforeEach(async () => {
    scene.namespace = await aNamespace(scene.server.client, "runs");
    scene.agent = new ScriptedAgent();
    scene.fleet = new TestFleet();
    scene.fleet.set(builderOf(scene), { instances: [instanceAt(socket, { capacity: 2 })] });
    scene.kiln = await startKiln(scene);
  });
  afterEach(async () => {
    const { kiln, fleet } = scene;
    const { following } = kiln.runs;
    await kiln.stop();
    assert.equal(following, 0, "solves that are still followed");
    assert.equal(fleet.running(builderOf(scene), "remote-0").running, 0, "slots still held");
    assert.equal(kiln.log().includes('"level":"error"'), false, kiln.log());
  });
  return scene;
}

/** The Builder of the test's namespace. */
export function builderOf({ namespace }: Scene) {
  return { kind: "Builder", namespace, name: "default" } as const;
}

export function refOf(run: BuildRun, number = 1): string {
  return `${run.metadata.uid}-${number}`;
}

/** Waits until the agent has an attempt, and returns its ref. */
export async function started({ agent }: Scene, run: BuildRun, number = 1): Promise<string> {
  const ref = refOf(run, number);
  await until(`${ref} to start`, async () => agent.jobs.has(ref));
  return ref;
}

/** The controller goes, what it had followed goes with it, and `between` happens; then the next one comes. */
export async function succeeds(
  scene: Scene,
  between: () => Promise<void> | void = () => undefined,
  limits: Partial<RunLimits> = {},
): Promise<void> {
  await scene.kiln.stop();
  await between();
  scene.kiln = await startKiln({ ...scene, limits });
}
