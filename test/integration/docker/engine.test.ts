// Builders that use what is on a real Docker engine: its own BuildKit, and containers that somebody else made there; over a
// socket, TLS and SSH; several of them in one Builder; and the same addresses in the kiln command.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import path from "node:path";
import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { forEngine } from "../../../src/buildrun/plan/engine.ts";
import { choose } from "../../../src/placement/choose.ts";
import { connect, filesync, inMemoryTree } from "../../../src/buildkit/index.ts";
import { engineFeatures } from "../../../src/builder/health/facts.ts";
import { pullImage, startNewContainer } from "../../../src/docker/index.ts";
import {
  type Buildkitd,
  buildkitd,
  dockerd,
  repositoryRoot,
  scratch,
  type Sshd,
  sshd,
} from "../../cluster/index.ts";
import { soon } from "../builder/kiln.ts";
import { kiln } from "../cli/kiln.ts";
import { image, type Scene, scene } from "./engine.ts";

type Nodes = NonNullable<BuilderSpecInput["nodes"]>;

/** What the docker program's `system dial-stdio` does: standard input and output become the engine's socket. */
function dialStdio(socket: string): string {
  const program = `const far = require("net").connect("${socket}"); process.stdin.pipe(far).pipe(process.stdout); far.on("close", () => process.exit());`;
  return [
    "#!/bin/sh",
    'case "$SSH_ORIGINAL_COMMAND" in',
    `"docker --host unix://${socket} system dial-stdio") exec '${process.execPath}' -e '${program}' ;;`,
    "*) echo 'not this' >&2; exit 1 ;;",
    "esac",
  ].join("\n");
}

describe("a Docker engine", function () {
  this.timeout(240_000);
  let world: Scene;
  let host: Sshd;
  let other: Buildkitd;
  const place = scratch("docker-ssh");

  before(async () => {
    world = await scene();
    mkdirSync(path.join(place.folder, "pids"), { recursive: true });
    host = await sshd({ folder: place.folder, serve: dialStdio(world.engine.socket) });
    other = await buildkitd({ mirror: false, platforms: ["linux/amd64", "linux/arm64"] });
    const engine = { kind: "unix", path: world.engine.socket } as const;
    await pullImage(engine, `docker.io/${image}`, AbortSignal.timeout(120_000));
    const body = {
      Image: image,
      HostConfig: { Privileged: true, CgroupParent: `/${world.engine.cgroup}/theirs` },
    };
    await startNewContainer(engine, { name: "theirs", body, files: [] }, soon());
    const idle = { ...body, Entrypoint: ["sleep", "1d"] };
    await startNewContainer(engine, { name: "idle", body: idle, files: [] }, soon());
  });
  after(async () => {
    await world?.stop();
    await host?.stop();
    await other?.stop();
    place.remove();
  });

  const socket = () => ({ endpoint: `unix://${world.engine.socket}` });
  const secure = () => ({ endpoint: world.engine.tcp, tls: { secretRef: { name: "engine" } } });
  const behindSsh = () => ({
    endpoint: `ssh://${host.user}@127.0.0.1:${host.port}${world.engine.socket}`,
    ssh: { secretRef: { name: "host" } },
  });

  async function namespace(): Promise<string> {
    const name = await world.trusting();
    await world.kiln.secret(name, "host", {
      known_hosts: host.knownHosts,
      "ssh-privatekey": host.privateKey,
    });
    await world.kiln.allow(name, "default", "host");
    return name;
  }

  const ways = [
    ["its socket", socket],
    ["TLS", secure],
    ["SSH", behindSsh],
  ] as const;
  for (const [way, engine] of ways) {
    it(`'s own BuildKit is reached over ${way}`, async () => {
      const name = await namespace();
      await world.kiln.builder(name, { docker: engine() });
      const status = await world.kiln.becomes(name, "True InstancesReady");
      assert.equal(status.driver, "Docker");
      assert.equal(status.instances?.[0]?.name, "docker-0");
      assert.ok(status.platforms?.includes("linux/amd64"));
    });

    it(`'s containers are reached over ${way}`, async () => {
      const name = await namespace();
      const remote = { endpoint: "docker-container://theirs", engine: engine() };
      await world.kiln.builder(name, { remote });
      const status = await world.kiln.becomes(name, "True InstancesReady");
      assert.equal(status.version, "v0.34.2");
    });
  }

  it("builds into its own images, without outputs too, and looks there for bases first", async () => {
    const name = await namespace();
    await world.kiln.builder(name, { docker: socket() });
    await world.kiln.becomes(name, "True InstancesReady");
    const ref = world.kiln.fleet.find({ name: "main" }, name);
    assert.ok(ref !== undefined);
    const [instance] = world.kiln.fleet.instances(ref);
    assert.equal(instance?.engine?.containerdStore, true);
    assert.ok(instance.engine.hostGateway, "the engine says what host-gateway is");
    const { endpoint } = await world.kiln.fleet.place(ref, "docker-0", soon());
    const client = connect(endpoint);
    const solve = async (
      dockerfile: string,
      exporters: { type: string; attrs: Record<string, string> }[],
      attrs = {},
    ) => {
      const tree = inMemoryTree(new Map([["Dockerfile", { data: dockerfile }]]));
      const request = forEngine(
        {
          frontend: "dockerfile.v0",
          frontendAttrs: attrs,
          exporters,
          cacheImports: [],
          cacheExports: [],
        },
        instance?.engine ?? { containerdStore: false },
      );
      const attachables = [filesync({ dockerfile: tree, context: tree })];
      return await client.solve(
        { ...request, ref: randomUUID() },
        { attachables, onEvent: () => undefined, signal: AbortSignal.timeout(60_000) },
      );
    };
    try {
      const before = await images();
      await solve("FROM scratch\nCOPY Dockerfile /nameless\n", []);
      assert.equal((await images()).length, before.length + 1, "loaded without a name");
      await solve("FROM busybox\nRUN touch /mine\n", [
        { type: "image", attrs: { name: "shop/base:1" } },
      ]);
      assert.ok((await images()).flatMap(({ RepoTags }) => RepoTags ?? []).includes("shop/base:1"));
      await solve("FROM shop/base:1\nRUN test -e /mine && grep gateway.example /etc/hosts\n", [], {
        "add-hosts": "gateway.example=host-gateway",
      });
    } finally {
      client.close();
    }
  });

  async function images(): Promise<{ Id: string; RepoTags: string[] | null }[]> {
    return (await world.engine.ask("GET", "/images/json")) as {
      Id: string;
      RepoTags: string[] | null;
    }[];
  }

  const faults = [
    ["there is no such container", "none", "ContainerNotFound", /has no container "none"/],
    ["the container does not run", "stopped", "ContainerNotRunning", /"stopped" does not run/],
    ["there is no buildkitd in it", "idle", "ConnectionRefused", /buildkitd\.sock/],
  ] as const;
  for (const [what, container, reason, says] of faults) {
    it(`says so when ${what}`, async () => {
      const name = await namespace();
      const remote = { endpoint: `docker-container://${container}`, engine: socket() };
      if (container === "stopped") await stopped();
      await world.kiln.builder(name, { remote });
      const status = await world.kiln.becomes(name, `False ${reason}`);
      assert.match(status.conditions?.[0]?.message ?? "", says);
    });
  }

  async function stopped(): Promise<void> {
    const engine = { kind: "unix", path: world.engine.socket } as const;
    const body = {
      Image: image,
      Entrypoint: ["true"],
      HostConfig: { CgroupParent: `/${world.engine.cgroup}/theirs` },
    };
    await startNewContainer(engine, { name: "stopped", body, files: [] }, soon());
    await world.engine.ask("POST", "/containers/stopped/wait");
  }

  it("and others are nodes of one Builder, each with its driver and platforms", async () => {
    const name = await namespace();
    const nodes: Nodes = [
      { name: "engine", docker: socket(), platforms: ["linux/amd64"] },
      {
        name: "theirs",
        remote: { endpoint: "docker-container://theirs", engine: secure() },
        platforms: ["linux/riscv64"],
      },
      { name: "found", remote: { endpoint: other.address } },
      { name: "gone", remote: { endpoint: "unix:///none.sock" } },
    ];
    await world.kiln.builder(name, { nodes });
    const status = await world.kiln.becomes(
      name,
      "True InstancesReady",
      ({ readyInstances }) => readyInstances === 3,
    );
    assert.equal(status.driver, "Mixed");
    assert.equal(status.totalInstances, 4);
    assert.deepEqual(
      status.instances?.map((one) => [one.name, one.driver, one.ready, one.reason]),
      [
        ["engine", "Docker", true, undefined],
        ["theirs", "Remote", true, undefined],
        ["found", "Remote", true, undefined],
        ["gone", "Remote", false, "ConnectionRefused"],
      ],
    );
    const ref = world.kiln.fleet.find({ name: "main" }, name);
    assert.ok(ref !== undefined);
    const platforms = Object.fromEntries(
      world.kiln.fleet.instances(ref).map((one) => [one.id, one.platforms]),
    );
    assert.deepEqual(platforms["engine"], ["linux/amd64"]);
    assert.deepEqual(platforms["theirs"], ["linux/riscv64"]);
    assert.ok(platforms["found"]?.includes("linux/arm64"));
    const { endpoint } = await world.kiln.fleet.place(ref, "theirs", soon());
    assert.equal(endpoint.kind, "stream");
    const instances = world.kiln.fleet.instances(ref);
    const placed = (platform: string) =>
      choose({ key: "web", instances, load: () => 0, platforms: [platform] });
    const answers = ["linux/riscv64", "linux/arm64"].map((platform) => {
      const choice = placed(platform);
      return choice.kind === "instance" ? choice.instance.id : choice.reason;
    });
    assert.deepEqual(answers, ["theirs", "found"]);
    assert.equal(placed("windows/amd64").kind, "wait");
    assert.deepEqual(status.instances?.find((one) => one.name === "theirs")?.fixedPlatforms, true);
    // As `docker buildx create --leave` does.
    await world.kiln.builder(name, { nodes: nodes.slice(0, 3) });
    const left = await world.kiln.becomes(
      name,
      "True InstancesReady",
      ({ totalInstances }) => totalInstances === 3,
    );
    assert.deepEqual(
      left.instances?.map((one) => one.name),
      ["engine", "theirs", "found"],
    );
  });

  const addresses: readonly (readonly [string, () => readonly string[]])[] = [
    ["docker+unix://", () => ["--addr", `docker+unix://${world.engine.socket}`]],
    [
      "docker+tcp://",
      () => {
        const { ca, cert, key } = world.engine.tls;
        const tls = ["--tlscacert", ca, "--tlscert", cert, "--tlskey", key];
        return ["--addr", `docker+${world.engine.tcp}`, ...tls];
      },
    ],
  ];
  for (const [scheme, flags] of addresses) {
    it(`answers the kiln command at ${scheme}`, async () => {
      const info = await kiln(["buildkit", "info", ...flags()]);
      assert.equal(info.code, 0, info.stderr);
      assert.match(info.stdout.toString(), /^BuildKit: +0\.\d+\.\d+/m);
      const solve = await kiln([
        ...[
          "solve",
          ...flags(),
          "--frontend",
          "dockerfile.v0",
          "--local",
          `context=${place.folder}`,
        ],
        ...["--local", `dockerfile=${path.join(repositoryRoot, "test/cluster/images")}`],
        ...["--opt", "filename=busybox.Dockerfile", "--opt", "target=none"],
      ]);
      assert.notEqual(solve.code, 0);
      assert.match(solve.stderr, /none/, "the engine read the Dockerfile from this side");
    });
  }
});

describe("a Docker engine with its older image store", () => {
  it("is told from one with containerd's, and builds into its images", async () => {
    const engine = await dockerd({ containerdStore: false });
    const client = connect({ kind: "docker", engine: { kind: "unix", path: engine.socket } });
    try {
      const [worker] = await client.workers(soon());
      const daemon = { version: "", platforms: [], gcPolicy: [], labels: worker?.labels ?? {} };
      const facts = {
        id: "docker-0",
        driver: "Docker",
        ready: true,
        answers: true,
        fenced: false,
        terminating: false,
        daemon,
      } as const;
      const features = engineFeatures(facts);
      assert.equal(features?.containerdStore, false);
      const tree = inMemoryTree(
        new Map([["Dockerfile", { data: "FROM scratch\nCOPY Dockerfile /\n" }]]),
      );
      const request = forEngine(
        {
          ...{ frontend: "dockerfile.v0", frontendAttrs: {}, cacheImports: [], cacheExports: [] },
          exporters: [{ type: "image", attrs: { name: "shop/old:1" } }],
        },
        features,
      );
      await client.solve(
        { ...request, ref: randomUUID() },
        {
          attachables: [filesync({ dockerfile: tree, context: tree })],
          onEvent: () => undefined,
          signal: soon(),
        },
      );
      const archive = { ...request, exporters: [{ type: "oci", attrs: {} }], ref: randomUUID() };
      await assert.rejects(
        client.solve(archive, {
          attachables: [filesync({ dockerfile: tree, context: tree })],
          onEvent: () => undefined,
          signal: soon(),
        }),
        /exporter "oci" could not be found/,
        "why runs with archives are not placed there",
      );
      const [image] = (await engine.ask("GET", "/images/json")) as { RepoTags: string[] }[];
      assert.deepEqual(image?.RepoTags, ["shop/old:1"]);
    } finally {
      client.close();
      await engine.stop();
    }
  });
});
