// Outputs onto PersistentVolumeClaims, built by a real buildkitd: the test plays the kubelet, and runs what Kiln's pod runs
// over a folder. test/e2e has a real pod and a real volume.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomInt } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import {
  type ReceivedOutput,
  type Receiver,
  receive,
} from "../../../../src/agent/outputs/claim/receiver.ts";
import { isApiError } from "../../../../src/kube/errors.ts";
import { persistentVolumeClaims, type Pod, pods, secrets } from "../../../../src/kube/types.ts";
import {
  account,
  aDaemon,
  build,
  builderOf,
  type Daemon,
  inline,
  put,
  start,
  succeeds,
} from "../daemon.ts";
import { cancel, ends, never, reaches, reason, until } from "../kiln.ts";

const dockerfile = [
  "FROM busybox AS b",
  "RUN mkdir -p /out/bin && echo tool > /out/bin/tool && chmod 755 /out/bin/tool && ln -s tool /out/bin/alias",
  "RUN head -c 20000000 /dev/urandom > /out/large",
  "FROM scratch",
  "COPY --from=b /out /",
  "",
].join("\n");

/** Pods of a namespace. */
async function podsOf({ server, namespace }: Daemon): Promise<readonly Pod[]> {
  return await server.client.list(pods, { namespace }, never);
}

/** Plays the kubelet: says this of a pod. */
async function tell({ server }: Daemon, { metadata }: Pod, status: Pod["status"]): Promise<void> {
  const { namespace, name } = metadata;
  await server.client.applyStatus(pods, { metadata: { namespace, name }, status }, {}, never);
}

/** Runs every pod that comes, over `root`, at an address of its own. */
class Kubelet {
  readonly #daemon: Daemon;
  readonly #root: string;
  readonly #receivers = new Map<string, Receiver>();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  /** The pods as they were made. */
  readonly seen: Pod[] = [];

  constructor(daemon: Daemon, root: string) {
    this.#daemon = daemon;
    this.#root = root;
    this.#ended = this.#work();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
    for (const receiver of this.#receivers.values()) await receiver.close();
  }

  async #work(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const all = await podsOf(this.#daemon);
      for (const [name, receiver] of this.#receivers) {
        if (all.some(({ metadata }) => metadata.name === name)) continue;
        this.#receivers.delete(name);
        await receiver.close();
      }
      for (const pod of all) if (!this.#receivers.has(pod.metadata.name)) await this.#run(pod);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #run(pod: Pod): Promise<void> {
    const { name } = pod.metadata;
    const { server, namespace } = this.#daemon;
    const secret = await server.client.get(secrets, { namespace, name }, never);
    // It went while this was looking.
    if (secret === undefined) return;
    const text = (key: string) => Buffer.from(secret?.data?.[key] ?? "", "base64").toString();
    const args = pod.spec?.containers[0]?.args ?? [];
    const flag = (key: string) => args.find((one) => one.startsWith(key))?.slice(key.length) ?? "";
    const outputs = JSON.parse(flag("--outputs=")) as Record<string, ReceivedOutput>;
    const mounted = Object.entries(outputs).map(
      ([index, output]) => [index, { ...output, root: this.#root }] as const,
    );
    this.seen.push(pod);
    const host = `127.${[0, 0, 0].map(() => 1 + randomInt(250)).join(".")}`;
    const receiver = await receive({
      tls: { ca: text("ca.crt"), cert: text("tls.crt"), key: text("tls.key") },
      host,
      port: 8443,
      ref: flag("--ref="),
      outputs: Object.fromEntries(mounted),
    });
    this.#receivers.set(name, receiver);
    const ready = { type: "Ready", status: "True" };
    const status = { podIP: host, podIPs: [{ ip: host }], phase: "Running", conditions: [ready] };
    try {
      await tell(this.#daemon, pod, status);
    } catch (error) {
      if (!isApiError(error, "NotFound")) throw error;
    }
  }
}

describe("the outputs of a run onto a PersistentVolumeClaim", () => {
  const daemon = aDaemon();
  let root = "";
  let kubelet: Kubelet | undefined;
  const mine = { serviceAccountName: "writer", retry: { limit: 0 } };
  const to = (place: string, claimName = "site") => ({
    persistentVolumeClaim: { claimName, path: place },
  });

  beforeEach(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), "kiln-claims-"));
    const resources = ["pods", "secrets", "persistentvolumeclaims"];
    await account(daemon, "writer", { resources, verbs: ["get", "create", "delete"] });
    const spec = {
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "1Gi" } },
    };
    await put(daemon, persistentVolumeClaims, "site", { spec });
  });
  afterEach(async () => {
    await kubelet?.stop();
    kubelet = undefined;
    await rm(root, { recursive: true });
    const { client } = daemon.server;
    const left = [
      ...(await podsOf(daemon)),
      ...(await client.list(secrets, { namespace: daemon.namespace }, never)),
    ];
    assert.deepEqual(
      left.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
      [],
      "pods and Secrets that are left",
    );
  });

  it("are a folder and an archive, whole, with their digests in status", async () => {
    kubelet = new Kubelet(daemon, root);
    const outputs = [{ local: { to: to("sites/shop") } }, { tar: { to: to("shop.tar") } }];
    await mkdir(path.join(root, "sites/shop/before"), { recursive: true });
    const { outputs: made } = await succeeds(daemon, inline(dockerfile, { ...mine, outputs }));
    const at = (name: string) => path.join(root, "sites/shop", name);
    assert.deepEqual((await readdir(at(""))).toSorted(), ["bin", "large"]);
    assert.equal(await readFile(at("bin/alias"), "utf8"), "tool\n");
    assert.equal((await stat(at("bin/tool"))).mode & 0o777, 0o755);
    const archive = await readFile(path.join(root, "shop.tar"));
    const sum = (data: Buffer | string) => createHash("sha256").update(data).digest("hex");
    const lines = `${sum("tool\n")}  bin/tool\n${sum(await readFile(at("large")))}  large\n`;
    assert.deepEqual(
      made?.map(({ files }) => files),
      [
        {
          type: "local",
          location: "pvc://site/sites/shop/",
          digest: `sha256:${sum(lines)}`,
          size: 20_000_005,
          files: 2,
        },
        {
          type: "tar",
          location: "pvc://site/shop.tar",
          digest: `sha256:${sum(archive)}`,
          size: archive.length,
        },
      ],
    );
    assert.deepEqual((await readdir(root)).toSorted(), ["shop.tar", "sites"]);
    const [pod] = kubelet.seen;
    const owner = pod?.metadata.ownerReferences?.[0];
    assert.equal(owner?.kind, "BuildRun");
    assert.equal(pod?.spec?.automountServiceAccountToken, false);
    const claims = pod?.spec?.volumes?.flatMap((volume) => volume.persistentVolumeClaim ?? []);
    assert.deepEqual(claims, [{ claimName: "site" }]);
  });

  it("leave what was there when the build fails", async () => {
    kubelet = new Kubelet(daemon, root);
    await mkdir(path.join(root, "shop/before"), { recursive: true });
    const failing = "FROM busybox\nRUN false\n";
    const outputs = [{ local: { to: to("shop") } }];
    const { failure } = await build(daemon, inline(failing, { ...mine, outputs }));
    assert.equal(failure?.reason, "StepFailed");
    assert.deepEqual(await readdir(root), ["shop"]);
    assert.deepEqual(await readdir(path.join(root, "shop")), ["before"]);
  });

  const run = promisify(execFile);
  const odd: readonly (readonly [string, string, () => Promise<unknown>, string, string])[] = [
    [
      "a folder in the place of the archive",
      "shop.tar",
      async () => await mkdir(path.join(root, "shop.tar")),
      "User",
      "OutputPlaceTaken",
    ],
    [
      "a link in the path",
      "sites/shop.tar",
      async () => await symlink("elsewhere", path.join(root, "sites")),
      "User",
      "OutputPlaceDenied",
    ],
    [
      "no room",
      "full/shop.tar",
      async () => {
        await mkdir(path.join(root, "full"));
        await run("mount", ["-t", "tmpfs", "-o", "size=1m", "none", path.join(root, "full")]);
      },
      "User",
      "OutputPlaceFull",
    ],
    [
      "a name that no file can have",
      `${"a".repeat(300)}/shop.tar`,
      async () => undefined,
      "Infra",
      "OutputPlaceFailed",
    ],
  ];
  for (const [what, place, prepare, kind, why] of odd)
    it(`say that a volume has ${what}`, async () => {
      kubelet = new Kubelet(daemon, root);
      await prepare();
      try {
        const outputs = [{ tar: { to: to(place) } }];
        const { failure } = await build(daemon, inline(dockerfile, { ...mine, outputs }));
        assert.deepEqual([failure?.class, failure?.reason], [kind, why], failure?.message);
        const left = async () => (await readdir(root, { recursive: true })).join(" ");
        await until("nothing to be left", async () => !(await left()).includes(".kiln-"));
      } finally {
        if (what === "no room") await run("umount", [path.join(root, "full")]);
      }
    });

  it("end with a pod that does not start, in its words", async () => {
    const outputs = [{ tar: { to: to("shop.tar") } }];
    const begun = await start(daemon, inline(dockerfile, { ...mine, outputs }));
    await until("the pod to fail", async () => {
      const [pod] = await podsOf(daemon);
      if (pod === undefined) return undefined;
      const terminated = { exitCode: 1, message: "the volume is of another kind" };
      const one = { name: "receive", image: "", imageID: "", ready: false, restartCount: 0 };
      const containerStatuses = [{ ...one, state: { terminated } }];
      await tell(daemon, pod, { phase: "Failed", containerStatuses });
      return true;
    });
    const { failure } = (await ends(daemon.server, begun)).status ?? {};
    assert.deepEqual([failure?.class, failure?.reason], ["Infra", "OutputPodNotReady"]);
    assert.match(failure?.message ?? "", /the volume is of another kind/);
  });

  it("are tried again when their pod can not be reached", async () => {
    const gone = "127.88.1.1";
    const playing = until("a pod to be told Ready", async () => {
      const [pod] = await podsOf(daemon);
      if (pod === undefined) return undefined;
      const conditions = [{ type: "Ready", status: "True" }];
      const status = { podIP: gone, podIPs: [{ ip: gone }], phase: "Running", conditions };
      await tell(daemon, pod, status);
      return true;
    });
    const outputs = [{ tar: { to: to("shop.tar") } }];
    const spec = inline("FROM scratch\nCOPY <<a /a\na\n", {
      ...mine,
      outputs,
      retry: { limit: 1 },
    });
    const run = await start(daemon, spec);
    await playing;
    await reaches(daemon.server, run, "tried again", ({ status }) => {
      const [first] = status?.attempts ?? [];
      return first?.reason === "OutputPodUnreachable" && first.outcome === "Failed";
    });
    kubelet = new Kubelet(daemon, root);
    const { status } = await ends(daemon.server, run);
    assert.equal(status?.phase, "Succeeded", JSON.stringify(status?.failure));
    assert.deepEqual(await readdir(root), ["shop.tar"]);
  });

  it("take their pod along when the run is cancelled before it starts", async () => {
    const outputs = [{ tar: { to: to("shop.tar") } }];
    const run = await start(daemon, inline(dockerfile, { ...mine, outputs }));
    const waiting = await reaches(daemon.server, run, "waiting", (now) =>
      (now.status?.conditions ?? []).some((one) => one.reason === "OutputPodStarting"),
    );
    assert.equal((await podsOf(daemon)).length, 1);
    const busy = () => daemon.fleet.running(builderOf(daemon), "remote-0").running;
    await until("its slot to be free meanwhile", async () => busy() === 0);
    await cancel(daemon.server, waiting);
    assert.equal(reason(await ends(daemon.server, run)), "Cancelled");
  });

  const refused: readonly (readonly [string, object, string, string, RegExp])[] = [
    [
      "a claim that is not there",
      { claimName: "none" },
      "User",
      "PersistentVolumeClaimNotFound",
      /"none"/,
    ],
    [
      "a claim that the account may not see",
      { account: "reader" },
      "Policy",
      "PersistentVolumeClaimForbidden",
      /"get"/,
    ],
  ];
  for (const [what, over, kind, why, says] of refused)
    it(`are refused for ${what}`, async () => {
      const { claimName = "site", account: serviceAccountName = "writer" } = over as {
        claimName?: string;
        account?: string;
      };
      const outputs = [{ tar: { to: to("a.tar", claimName) } }];
      const spec = inline(dockerfile, { ...mine, serviceAccountName, outputs });
      const { failure } = await build(daemon, spec);
      assert.deepEqual([failure?.class, failure?.reason], [kind, why]);
      assert.match(failure?.message ?? "", says);
    });

  it("are refused when the account may not make pods", async () => {
    const may = {
      resources: ["persistentvolumeclaims", "secrets"],
      verbs: ["get", "create", "delete"],
    };
    await account(daemon, "podless", may);
    const outputs = [{ tar: { to: to("a.tar") } }];
    const spec = inline(dockerfile, { ...mine, serviceAccountName: "podless", outputs });
    const { failure } = await build(daemon, spec);
    assert.deepEqual([failure?.class, failure?.reason], ["Policy", "OutputPodForbidden"]);
    assert.match(failure?.message ?? "", /"create" and "delete" on secrets/);
  });
});
