// Builders whose buildkitd is a container on a real Docker engine: made, configured, kept, taken over, made anew, removed.

import assert from "node:assert/strict";
import { connect } from "../../../src/buildkit/index.ts";
import { builders } from "../../../src/builder/index.ts";
import { execInContainer } from "../../../src/docker/index.ts";
import { solve } from "../buildkit/solving.ts";
import { soon, until } from "../builder/kiln.ts";
import { type Container, image, type Inspected, type Scene, scene } from "./engine.ts";

describe("a buildkitd in a container on a Docker engine", function () {
  this.timeout(240_000);
  let world: Scene;
  before(async () => {
    world = await scene();
  });
  after(async () => await world?.stop());

  const nameOf = (namespace: string): string => `kiln_${namespace}_main`;

  async function made(over: Partial<Container> = {}, more = {}): Promise<string> {
    const namespace = await world.kiln.namespace();
    await world.kiln.builder(namespace, { dockerContainer: world.container(over), ...more });
    await ready(namespace);
    return namespace;
  }

  async function ready(namespace: string): Promise<void> {
    await world.kiln.becomes(
      namespace,
      "True InstancesReady",
      ({ observedGeneration }) => observedGeneration !== undefined,
    );
  }

  async function gone(namespace: string): Promise<void> {
    await world.kiln.client.delete(builders, { namespace, name: "main" }, soon());
    await until("the Builder to go", async () => {
      const there = await world.kiln.client.get(builders, { namespace, name: "main" }, soon());
      return there === undefined ? true : undefined;
    });
  }

  /** The first container that is not the one before, and runs. */
  async function another(namespace: string, before: Inspected): Promise<Inspected> {
    return await until("another container", async () => {
      const now = await world.inspect(nameOf(namespace));
      return now.Id === before.Id || now.State.Status !== "running" ? undefined : now;
    });
  }

  it("is pulled, made, found again, and builds", async () => {
    const namespace = await made();
    const status = await world.kiln.status(namespace);
    assert.equal(status.driver, "DockerContainer");
    assert.equal(status.version, "v0.34.2");
    const [instance] = status.instances ?? [];
    assert.equal(instance?.name, "container-0");
    assert.equal(instance?.address, `docker-container://${nameOf(namespace)}`);
    const before = await world.inspect(nameOf(namespace));
    assert.equal(before.HostConfig["Privileged"], true);
    assert.equal(before.HostConfig["Init"], true);
    const ref = world.kiln.fleet.find({ name: "main" }, namespace);
    assert.ok(ref !== undefined);
    const { endpoint } = await world.kiln.fleet.place(ref, "container-0", soon());
    const client = connect(endpoint);
    try {
      await solve(client, "FROM scratch\nCOPY Dockerfile /\n");
    } finally {
      client.close();
    }
    await world.kiln.halt();
    await world.kiln.run();
    await ready(namespace);
    assert.equal((await world.inspect(nameOf(namespace))).Id, before.Id, "adopted, not made anew");
    await gone(namespace);
    assert.ok(!(await world.names("containers")).includes(nameOf(namespace)));
    assert.ok(!(await world.names("volumes")).includes(`${nameOf(namespace)}_state`));
  });

  it("has every option of buildx", async () => {
    const namespace = await made(
      {
        network: "host",
        memory: "1Gi",
        memorySwap: "2Gi",
        cpuPeriod: 100_000,
        cpuQuota: 150_000,
        cpuShares: 512,
        cpusetCpus: "0-1",
        cpusetMems: "0",
        restartPolicy: "on-failure:3",
        env: [{ name: "BUILDKIT_STEP_LOG_MAX_SIZE", value: "-1" }],
        githubContext: { GITHUB_REPOSITORY: "shop/web" },
      },
      {
        buildkitd: {
          maxParallelism: 3,
          registries: [
            { host: world.engine.mirror, http: true },
            { host: "docker.io", mirrors: [world.engine.mirror] },
          ],
        },
        allow: { entitlements: ["network.host"] },
      },
    );
    const {
      HostConfig: host,
      Config: config,
      Mounts: mounts,
    } = await world.inspect(nameOf(namespace));
    const options: readonly (readonly [option: string, is: unknown, wanted: unknown])[] = [
      ["image", config.Image, image],
      ["network", host["NetworkMode"], "host"],
      ["memory", host["Memory"], 1024 ** 3],
      ["memory-swap", host["MemorySwap"], 2 * 1024 ** 3],
      ["cpu-period", host["CpuPeriod"], 100_000],
      ["cpu-quota", host["CpuQuota"], 150_000],
      ["cpu-shares", host["CpuShares"], 512],
      ["cpuset-cpus", host["CpusetCpus"], "0-1"],
      ["cpuset-mems", host["CpusetMems"], "0"],
      ["cgroup-parent", host["CgroupParent"], `/${world.engine.cgroup}/kiln`],
      ["restart-policy", host["RestartPolicy"], { Name: "on-failure", MaximumRetryCount: 3 }],
      ["env.NAME", config.Env.includes("BUILDKIT_STEP_LOG_MAX_SIZE=-1"), true],
      [
        "volume",
        mounts.map((one) => [one.Name, one.Destination]),
        [[`${nameOf(namespace)}_state`, "/var/lib/buildkit"]],
      ],
    ];
    for (const [option, is, wanted] of options) assert.deepEqual(is, wanted, option);
    assert.match(
      await inside(namespace, ["cat", "/etc/buildkit/buildkitd.toml"]),
      /max-parallelism = 3/,
    );
    const facts = await inside(namespace, [
      "cat",
      "/etc/buildkit/provenance.d/github_actions_context.json",
    ]);
    assert.deepEqual(JSON.parse(facts), { GITHUB_REPOSITORY: "shop/web" });
    const ref = world.kiln.fleet.find({ name: "main" }, namespace);
    assert.ok(ref !== undefined);
    const { endpoint } = await world.kiln.fleet.place(ref, "container-0", soon());
    const client = connect(endpoint);
    try {
      let output = "";
      await solve(client, "FROM busybox\nRUN echo in a container\n", {
        onEvent: (event) => {
          if (event.kind === "log") output += Buffer.from(event.data).toString();
        },
      });
      assert.match(output, /in a container/);
    } finally {
      client.close();
    }
    await gone(namespace);
  });

  async function inside(namespace: string, command: string[]): Promise<string> {
    const engine = { kind: "unix", path: world.engine.socket } as const;
    const stream = await execInContainer(engine, nameOf(namespace), command, soon());
    let text = "";
    for await (const chunk of stream) text += String(chunk);
    return text;
  }

  it("is repaired, and made anew when the Builder changes; its volume stays", async () => {
    const namespace = await made();
    const first = await world.inspect(nameOf(namespace));
    await world.engine.ask("POST", `/containers/${first.Id}/stop?t=1`);
    await until("a start", async () =>
      (await world.inspect(first.Id)).State.Status === "running" ? true : undefined,
    );
    await world.engine.ask("DELETE", `/containers/${first.Id}?force=true`);
    const second = await until("another container", async () => {
      const now = await world.inspect(nameOf(namespace)).catch(() => undefined);
      return now?.State.Status === "running" && now.Id !== first.Id ? now : undefined;
    });
    const env = [{ name: "A", value: "b" }];
    await world.kiln.builder(namespace, { dockerContainer: world.container({ env }) });
    const third = await another(namespace, second);
    assert.ok(third.Config.Env.includes("A=b"));
    assert.deepEqual(third.Mounts[0]?.Name, first.Mounts[0]?.Name);
    await ready(namespace);
    await gone(namespace);
  });

  /** Waits until the time of an instance's builds is over, and the bell for them rings after that. */
  async function rings(namespace: string, instance: string): Promise<void> {
    const { fleet } = world.kiln;
    const ref = { kind: "Builder", namespace, name: "main" } as const;
    await until(
      "its builds' time to be over",
      async () => fleet.isOverdue(ref, instance) || undefined,
    );
    let count = 0;
    const off = fleet.onChange(({ namespace: of }) => {
      if (of === namespace) count += 1;
    });
    await until("the bell to ring", async () => count > 0 || undefined).finally(off);
  }

  it("is not made anew while a build runs on it, and takes no other meanwhile", async () => {
    const namespace = await made();
    const before = await world.inspect(nameOf(namespace));
    let running = 1;
    world.kiln.fleet.reportLoad(
      ({ namespace: of }) => ({ running: of === namespace ? running : 0 }),
      () => [],
    );
    try {
      const env = [{ name: "A", value: "b" }];
      const dockerContainer = world.container({ env });
      await world.kiln.builder(namespace, { dockerContainer, drainTimeout: "4s" });
      await world.kiln.becomes(namespace, "False Draining");
      await rings(namespace, "container-0");
      assert.equal((await world.inspect(nameOf(namespace))).Id, before.Id);
      running = 0;
      await another(namespace, before);
      await ready(namespace);
    } finally {
      world.kiln.fleet.reportLoad(
        () => ({ running: 0 }),
        () => [],
      );
    }
    await gone(namespace);
  });

  it("keeps its cache for a Builder of the same name, if that is asked for", async () => {
    const namespace = await made({ whenDeleted: "Retain" });
    await gone(namespace);
    assert.ok((await world.names("volumes")).includes(`${nameOf(namespace)}_state`));
    await world.kiln.builder(namespace, { dockerContainer: world.container() });
    await ready(namespace);
    await gone(namespace);
    assert.ok(!(await world.names("volumes")).includes(`${nameOf(namespace)}_state`));
  });

  it("is removed when the Builder turns to another driver", async () => {
    const namespace = await made();
    await world.kiln.builder(namespace, { remote: { endpoint: "tcp://127.0.0.1:1" } });
    await until("no container", async () =>
      (await world.names("containers")).includes(nameOf(namespace)) ? undefined : true,
    );
    await gone(namespace);
  });

  it("of buildx is taken over with its cache, when that is asked for", async () => {
    const containerName = "buildx_buildkit_mine0";
    const other = await made({ containerName });
    const theirs = await world.inspect(containerName);
    const namespace = await world.kiln.namespace();
    await world.kiln.builder(namespace, { dockerContainer: world.container({ containerName }) });
    const status = await world.kiln.becomes(namespace, "False NameTaken");
    assert.match(status.conditions?.[0]?.message ?? "", /set adopt with containerName/);
    // Somebody else's Kiln: this one no longer looks after it.
    await world.kiln.builder(other, { dockerContainer: world.container() });
    await world.kiln.builder(namespace, {
      dockerContainer: world.container({ containerName, adopt: true }),
    });
    await ready(namespace);
    const ours = await world.inspect(containerName);
    assert.notEqual(ours.Id, theirs.Id);
    assert.equal(ours.Mounts[0]?.Name, `${containerName}_state`);
    await gone(other);
    await gone(namespace);
  });

  it("on an engine behind TLS", async () => {
    const namespace = await world.trusting();
    const tls = { secretRef: { name: "engine" } };
    const over = { endpoint: world.engine.tcp, tls };
    await world.kiln.builder(namespace, { dockerContainer: world.container(over) });
    await ready(namespace);
    await gone(namespace);
  });

  const faults: readonly (readonly [
    what: string,
    over: () => Partial<Container>,
    reason: string,
    says: RegExp,
    more?: object,
  ])[] = [
    [
      "there is no engine",
      () => ({ endpoint: "unix:///none.sock" }),
      "ConnectionRefused",
      /^The Docker engine at unix:\/\/\/none\.sock cannot be reached/,
    ],
    [
      "the engine wants TLS",
      () => ({ endpoint: world.engine.tcp }),
      "NotAnswering",
      /HTTP request to an HTTPS server/,
    ],
    [
      "the image cannot be pulled",
      () => ({ image: "moby/buildkit:none" }),
      "ImagePullFailed",
      /cannot pull moby\/buildkit:none/,
    ],
    ["the network is not there", () => ({ network: "nowhere" }), "ContainerCannotStart", /nowhere/],
    [
      "buildkitd ends",
      () => ({ image: "busybox", allowUntrustedImage: true, restartPolicy: "always" }),
      "CrashLooping",
      /ends with code/,
    ],
    [
      "its configuration is wrong",
      () => ({}),
      "InvalidConfig",
      /nonsense/,
      { buildkitd: { config: "nonsense = 1" } },
    ],
    [
      "a Secret of a registry is missing",
      () => ({}),
      "SecretForbidden",
      /Secret ca/,
      { buildkitd: { registries: [{ host: "a.example", ca: { secretName: "ca" } }] } },
    ],
  ];
  for (const [what, over, reason, says, more = {}] of faults) {
    it(`says so when ${what}`, async () => {
      const namespace = await world.kiln.namespace();
      await world.kiln.builder(namespace, { dockerContainer: world.container(over()), ...more });
      const status = await world.kiln.becomes(namespace, `False ${reason}`);
      assert.match(status.conditions?.[0]?.message ?? "", says);
      if (what === "there is no engine") {
        await world.kiln.builder(namespace, { dockerContainer: world.container() });
        await ready(namespace);
      }
      await gone(namespace);
    });
  }
});
