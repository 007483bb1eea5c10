// What every test with a real buildkitd begins with: API server, buildkitd on a unix socket, registry; a namespace with a
// remote Builder and an account that may read its Secrets; a controller. After each test nothing may be left.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, beforeEach } from "mocha";
import { InProcessAgent } from "../../../src/agent/in-process.ts";
import type {
  BuilderSpecInput,
  BuildRun,
  BuildRunStatus,
} from "../../../src/api/v1alpha1/index.ts";
import { connect, parseEndpoint } from "../../../src/buildkit/index.ts";
import { configMaps, secrets, serviceAccounts } from "../../../src/kube/types.ts";
import { type KubeObject } from "../../../src/kube/object.ts";
import { type ResourceType, resourceType } from "../../../src/kube/types.ts";
import { rootLogger } from "../../../src/log.ts";
import { type Buildkitd, buildkitd, type Registry, registry } from "../../cluster/index.ts";
import { aSpec } from "../../unit/builder/samples.ts";
import { instanceAt, TestFleet } from "./fleet.ts";
import {
  aNamespace,
  aRunOf,
  create,
  ends,
  type Kiln,
  type KilnParts,
  never,
  type Server,
  startKiln,
  startServer,
  until,
} from "./kiln.ts";

/** The parts of the running test. */
export interface Daemon {
  server: Server;
  buildkitd: Buildkitd;
  registry: Registry;
  namespace: string;
  agent: InProcessAgent;
  fleet: TestFleet;
  kiln: Kiln;
}

/** What a suite adds. */
export interface DaemonOptions {
  /** More registries (address:port) that speak plain HTTP. */
  readonly insecure?: () => Promise<readonly string[]>;
  /** TOML for buildkitd; asked for after `insecure`. */
  readonly config?: string | (() => string);
}

const role = resourceType<KubeObject & { rules: unknown }>({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "Role",
  plural: "roles",
  namespaced: true,
});
const binding = resourceType<KubeObject & { roleRef: unknown; subjects: unknown }>({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "RoleBinding",
  plural: "rolebindings",
  namespaced: true,
});

/** Registers the hooks of a suite; the parts are there when a test runs. */
export function aDaemon(o: DaemonOptions = {}): Daemon {
  const daemon = {} as Daemon;
  before(async () => {
    const insecure = (await o.insecure?.()) ?? [];
    const config = typeof o.config === "function" ? o.config() : o.config;
    daemon.registry = await registry();
    [daemon.server, daemon.buildkitd] = await Promise.all([
      startServer(),
      buildkitd({
        insecureRegistries: [daemon.registry.host, ...insecure],
        ...(config === undefined ? {} : { config }),
      }),
    ]);
  });
  after(async () => {
    await daemon.server.stop();
    await daemon.buildkitd.stop();
    await daemon.registry.stop();
  });
  beforeEach(async () => {
    daemon.namespace = await aNamespace(daemon.server.client, "builds");
    await account(daemon, "reader", { resources: ["secrets", "configmaps"], verbs: ["get"] });
    daemon.fleet = new TestFleet();
    const endpoint = parseEndpoint(daemon.buildkitd.address);
    daemon.fleet.set(builderOf(daemon), { instances: [instanceAt(endpoint)] });
    await controllerComes(daemon);
  });
  afterEach(async () => {
    const { following } = daemon.kiln.runs;
    const jobs = await daemon.agent.list();
    await daemon.kiln.stop();
    await daemon.agent.stop();
    assert.deepEqual(jobs, [], "jobs that the agent still has");
    assert.equal(following, 0, "solves that are still followed");
    assert.equal(
      daemon.fleet.running(builderOf(daemon), "remote-0").running,
      0,
      "slots still held",
    );
    await until("the daemon to be idle", async () => (await solving(daemon)).length === 0, 20_000);
  });
  return daemon;
}

/** Refs that the daemon solves now, by its own word. */
export async function solving({ buildkitd: peer }: Pick<Daemon, "buildkitd">): Promise<string[]> {
  const { stdout } = await peer.buildctl(["debug", "histories"]);
  const [head, ...lines] = stdout.trim().split("\n");
  assert.match(head ?? "", /^TYPE\s+REF\s/, "the table of histories");
  return lines.flatMap((line) => {
    const [type, ref] = line.split(/\s+/);
    return type === "STARTED" && ref !== undefined ? [ref] : [];
  });
}

/** Starts an agent and a controller over what is there. */
export async function controllerComes(
  daemon: Daemon,
  limits: KilnParts["limits"] = {},
): Promise<void> {
  daemon.agent = new InProcessAgent({ log: rootLogger("error"), connect });
  daemon.kiln = await startKiln({ ...daemon, limits });
}

/** The Builder of the test's namespace. */
export function builderOf({ namespace }: Pick<Daemon, "namespace">) {
  return { kind: "Builder", namespace, name: "default" } as const;
}

/** Has the Builder say this of registries; its account may read its Secrets. */
export function namesRegistries(
  daemon: Daemon,
  registries: NonNullable<NonNullable<BuilderSpecInput["buildkitd"]>["registries"]>,
  instances = [instanceAt(parseEndpoint(daemon.buildkitd.address))],
): void {
  const { namespace, server } = daemon;
  const spec = aSpec({ kubernetes: {}, buildkitd: { registries } });
  const rights = { namespace, serviceAccountName: "reader", mayUseSockets: false };
  const reader = { ...rights, client: server.client };
  daemon.fleet.set(builderOf(daemon), { instances, spec, reader });
}

/** Has the Builder name the authority of a registry, which is in a Secret. */
export async function namesAuthority(
  daemon: Daemon,
  { host, ca = "" }: Registry,
  instances?: Parameters<typeof namesRegistries>[2],
): Promise<void> {
  await secret(daemon, "authority", { "registry.pem": readFileSync(ca, "utf8") });
  const named = { host, ca: { secretName: "authority", key: "registry.pem" } };
  namesRegistries(daemon, [named], instances);
}

/** Creates an object in the test's namespace. */
export async function put<T extends KubeObject>(
  { server, namespace }: Daemon,
  type: ResourceType<T>,
  name: string,
  body: object,
): Promise<void> {
  await server.client.create(type, { metadata: { namespace, name }, ...body } as never, never);
}

export async function secret(
  daemon: Daemon,
  name: string,
  stringData: Record<string, string>,
  type = "Opaque",
): Promise<void> {
  await put(daemon, secrets, name, { stringData, type });
}

export async function configMap(
  daemon: Daemon,
  name: string,
  data: Record<string, string>,
): Promise<void> {
  await put(daemon, configMaps, name, { data });
}

/** Makes a ServiceAccount that may do this with resources of the core group. */
export async function account(
  daemon: Daemon,
  name: string,
  may: { readonly resources: readonly string[]; readonly verbs: readonly string[] },
): Promise<void> {
  await put(daemon, role, name, { rules: [{ apiGroups: [""], ...may }] });
  await put(daemon, serviceAccounts, name, {});
  await put(daemon, binding, name, {
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
    subjects: [{ kind: "ServiceAccount", name, namespace: daemon.namespace }],
  });
}

let counter = 0;

/** Creates a run of the account `reader`. */
export async function start(daemon: Daemon, spec: Record<string, unknown>): Promise<BuildRun> {
  counter += 1;
  return await create(
    daemon.server,
    aRunOf(daemon.namespace, `run-${counter}`, { serviceAccountName: "reader", ...spec }),
  );
}

/** A run of an inline Dockerfile. */
export function inline(
  dockerfile: string,
  spec: Record<string, unknown> = {},
): Record<string, unknown> {
  return { context: { none: {} }, dockerfile: { inline: dockerfile }, ...spec };
}

/** Runs to the end and returns the status. */
export async function build(
  daemon: Daemon,
  spec: Record<string, unknown>,
): Promise<BuildRunStatus> {
  const { status } = await ends(daemon.server, await start(daemon, spec));
  assert.ok(status !== undefined);
  return status;
}

/** Runs to the end, which has to be a good one. */
export async function succeeds(
  daemon: Daemon,
  spec: Record<string, unknown>,
): Promise<BuildRunStatus> {
  const status = await build(daemon, spec);
  assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
  return status;
}

/** Runs to the end, which has to be a failure of this class and reason, told in a sentence. */
export async function failsAs(
  daemon: Daemon,
  spec: Record<string, unknown>,
  [owner, why]: readonly [string, string],
): Promise<BuildRunStatus> {
  const status = await build(daemon, spec);
  const { failure, phase } = status;
  assert.deepEqual([failure?.class, failure?.reason], [owner, why], failure?.message);
  assert.match(failure?.message ?? "", /\.$/, "a sentence");
  assert.equal(phase, "Failed");
  return status;
}

/** An image output in the suite's registry. */
export function image(
  daemon: Daemon,
  name: string,
  over: Record<string, unknown> = {},
): Record<string, unknown> {
  return { outputs: [{ image: { tags: [`${daemon.registry.host}/${name}`], ...over } }] };
}

/** What the registry has under a name: its digest and the parsed manifest or index. */
export async function pushed({ registry: { url } }: Daemon, repository: string, reference: string) {
  const accept = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
  ].join(", ");
  const response = await fetch(`${url}/v2/${repository}/manifests/${reference}`, {
    headers: { accept },
  });
  assert.equal(response.status, 200, `${repository}:${reference} is in the registry`);
  const manifest = (await response.json()) as {
    config?: { digest: string };
    manifests?: { digest: string; platform?: { architecture: string } }[];
  };
  return { digest: response.headers.get("docker-content-digest"), manifest };
}

/** The image configuration of a manifest. */
export async function configOf({ registry: { url } }: Daemon, repository: string, digest: string) {
  const response = await fetch(`${url}/v2/${repository}/blobs/${digest}`);
  return (await response.json()) as {
    config: { Labels?: Record<string, string>; Env?: string[]; Cmd?: string[] };
  };
}
