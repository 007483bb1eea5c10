// What holds for the steps of a build, its named contexts and what is attested of it: each option is seen by its effect
// on a real buildkitd.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { type GitServer, gitServer } from "../../../cluster/index.ts";
import { aDaemon, build, configMap, image, inline, pushed, secret, succeeds } from "../daemon.ts";

const run = promisify(execFile);
const step = (command: string): string => `FROM busybox\nRUN ${command}\n`;

const effects: readonly (readonly [
  name: string,
  dockerfile: string,
  spec: Record<string, unknown>,
])[] = [
  ["no network", step("test ! -e /sys/class/net/eth0"), { network: "none" }],
  [
    "the host's network, with the right that it needs",
    step("readlink /proc/self/ns/net > /ns"),
    { network: "host" },
  ],
  [
    "lines of /etc/hosts",
    step("grep '^10.1.2.3.*db.example' /etc/hosts && grep '^fd00::1.*six' /etc/hosts"),
    {
      hostAliases: [
        { ip: "10.1.2.3", hostnames: ["db", "db.example"] },
        { ip: "fd00::1", hostnames: ["six"] },
      ],
    },
  ],
  [
    "the size of /dev/shm",
    step(`df -k /dev/shm | awk 'END { exit !($2 == 32768) }'`),
    { shmSize: "32Mi" },
  ],
  [
    "limits of processes",
    step("test $(ulimit -Sn) = 77 && test $(ulimit -Hn) = 88"),
    { ulimits: [{ name: "nofile", soft: 77, hard: 88 }] },
  ],
  ["a control group", step("cat /proc/self/cgroup"), { cgroupParent: "kiln-options-test" }],
  [
    "a right beyond those of other steps",
    "FROM busybox\nRUN --security=insecure test -e /dev/kmsg || mknod /dev/kmsg c 1 11\n",
    { entitlements: ["security.insecure"] },
  ],
];

describe("the steps of a run on a real buildkitd", () => {
  let git: GitServer;
  const daemon = aDaemon({
    config: 'insecure-entitlements = ["network.host", "security.insecure"]',
  });
  before(async () => (git = await gitServer()));
  after(async () => await git.stop());

  for (const [name, dockerfile, spec] of effects)
    it(`have ${name}`, async () => {
      await succeeds(daemon, inline(dockerfile, spec));
    });

  it("may not have a right that nobody asked for", async () => {
    const { failure } = await build(daemon, inline("FROM busybox\nRUN --security=insecure true\n"));
    assert.deepEqual(
      [failure?.class, failure?.reason],
      ["Policy", "EntitlementNotAllowed"],
      failure?.message,
    );
  });

  it("run again in the stages of noCacheFilter, and in no others", async () => {
    const dockerfile =
      "FROM busybox AS kept\nRUN cat /proc/sys/kernel/random/uuid > /kept\n" +
      "FROM busybox AS again\nRUN cat /proc/sys/kernel/random/uuid > /again\n" +
      "FROM scratch\nCOPY --from=kept /kept /\nCOPY --from=again /again /\n";
    const layers = async (tag: string): Promise<string[]> => {
      const spec = inline(dockerfile, image(daemon, `filter:${tag}`));
      await succeeds(daemon, { ...spec, ...(tag === "1" ? {} : { noCacheFilter: ["again"] }) });
      const { manifest } = await pushed(daemon, "filter", tag);
      return (manifest as { layers?: { digest: string }[] }).layers?.map((l) => l.digest) ?? [];
    };
    const [first, second] = [await layers("1"), await layers("2")];
    assert.equal(first[0], second[0], "the stage that was kept");
    assert.notEqual(first[1], second[1], "the stage that ran again");
  });

  it("get files from contexts of every kind by name", async () => {
    await configMap(daemon, "settings", { "settings.txt": "from-configmap" });
    await secret(daemon, "keys", { "keys.txt": "from-secret" });
    await git.commit("lib", { "lib.txt": "from-git", "sub/x.txt": "from-sub" }, { tag: "v1" });
    const dockerfile = [
      "FROM other AS o",
      "FROM busybox",
      "COPY --from=settings settings.txt /",
      "COPY --from=keys keys.txt /",
      "COPY --from=lib . /lib",
      "COPY --from=sub x.txt /",
      "COPY --from=notes a/b.txt /",
      "RUN cat /settings.txt /keys.txt /lib/lib.txt /x.txt /b.txt > /all",
      "RUN test $(cat /all) = from-configmapfrom-secretfrom-gitfrom-subfrom-inline",
      "RUN test -d /lib/.git",
      "",
    ].join("\n");
    const url = git.url("lib");
    const buildContexts = [
      { name: "other", image: "busybox" },
      { name: "settings", configMap: { name: "settings" } },
      { name: "keys", secret: { name: "keys" } },
      { name: "lib", git: { url, keepGitDir: true } },
      { name: "sub", git: { url, revision: "v1", subdirectory: "sub" } },
      { name: "notes", inline: { files: [{ path: "a/b.txt", text: "from-inline" }] } },
    ];
    await succeeds(daemon, inline(dockerfile, { buildContexts }));
    const only = {
      dockerfile: { path: "D" },
      context: { inline: { files: [{ path: "D", text: "FROM busybox\n" }] } },
    };
    await succeeds(daemon, only);
  });

  it("fail when a git context is not the commit that it should be", async () => {
    const first = await git.commit("pinned", { Dockerfile: "FROM busybox\nCOPY Dockerfile /\n" });
    const url = git.url("pinned");
    const context = (checksum: string) => ({
      context: { git: { url, revision: "main", checksum } },
      dockerfile: { path: "Dockerfile" },
    });
    await succeeds(daemon, context(first));
    const { failure } = await build(daemon, { ...context("0".repeat(40)), noCache: true });
    assert.equal(failure?.class, "Source", JSON.stringify(failure));
  });

  it("may sign with an SSH key, and never see it", async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), "kiln-ssh-"));
    try {
      const file = path.join(folder, "id");
      await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "kiln-test", "-f", file]);
      const privateKey = await readFile(file, "utf8");
      await secret(daemon, "deploy", { "ssh-privatekey": privateKey }, "kubernetes.io/ssh-auth");
    } finally {
      await rm(folder, { recursive: true });
    }
    const dockerfile =
      "FROM busybox\nRUN --mount=type=ssh,required=true test -S $SSH_AUTH_SOCK\n" +
      "RUN --mount=type=ssh,id=other,required=true test -S $SSH_AUTH_SOCK\n";
    const key = { secretRef: { name: "deploy" } };
    await succeeds(daemon, inline(dockerfile, { ssh: [key, { ...key, id: "other" }] }));
    const { failure } = await build(daemon, inline(dockerfile, { ssh: [key], noCache: true }));
    assert.deepEqual([failure?.class, failure?.reason], ["User", "SshKeyMissing"]);
  });

  it("leave provenance that names the builder, and annotations of each level", async () => {
    const annotations = [
      { name: "org.example.m", value: "manifest" },
      { name: "org.example.i", value: "index", level: "index" },
      { name: "org.example.d", value: "descriptor", level: "manifest-descriptor" },
    ];
    const spec = {
      ...image(daemon, "attested:1", { annotations }),
      attestations: { provenance: { mode: "max", version: "v1" } },
      platforms: ["linux/amd64"],
    };
    await succeeds(daemon, inline(step("echo attested > /a"), spec));
    const { manifest } = await pushed(daemon, "attested", "1");
    const index = manifest as {
      annotations?: Record<string, string>;
      manifests: { digest: string; annotations?: Record<string, string> }[];
    };
    assert.equal(index.annotations?.["org.example.i"], "index");
    const [own, attestation] = index.manifests;
    assert.equal(own?.annotations?.["org.example.d"], "descriptor");
    const ofImage = (await pushed(daemon, "attested", own?.digest ?? "")).manifest as {
      annotations?: Record<string, string>;
    };
    assert.equal(ofImage.annotations?.["org.example.m"], "manifest");
    const { layers } = (await pushed(daemon, "attested", attestation?.digest ?? "")).manifest as {
      layers?: { digest: string }[];
    };
    const blob = await fetch(
      `${daemon.registry.url}/v2/attested/blobs/${layers?.[0]?.digest ?? ""}`,
    );
    const statement = (await blob.json()) as {
      predicate: { runDetails: { builder: { id: string } } };
    };
    assert.equal(
      statement.predicate.runDetails.builder.id,
      `https://kiln.build/namespaces/${daemon.namespace}/builders/default`,
    );
  });

  it("use only the sources that the run's policy allows, replaced as it says", async () => {
    const convert = {
      action: "convert",
      identifier: "docker-image://docker.io/library/alpine:*",
      replacement: "docker-image://docker.io/library/busybox:latest",
    };
    await succeeds(
      daemon,
      inline("FROM alpine:3\nRUN busybox true\n", { sourcePolicy: { rules: [convert] } }),
    );
    const deny = { action: "deny", identifier: "docker-image://docker.io/library/busybox:*" };
    const { failure } = await build(
      daemon,
      inline(step("true # denied"), { sourcePolicy: { rules: [deny] } }),
    );
    assert.deepEqual([failure?.class, failure?.reason], ["Policy", "PolicyDenied"]);
  });

  it("leave an image without a tag when it is pushed by digest", async () => {
    const status = await succeeds(
      daemon,
      inline(step("echo by digest > /d"), {
        outputs: [
          {
            image: {
              tags: [`${daemon.registry.host}/bydigest`],
              pushByDigest: true,
              compression: "zstd",
              compressionLevel: 3,
              forceCompression: true,
            },
          },
        ],
      }),
    );
    const digest = status.outputs?.[0]?.image?.digest ?? "";
    const { manifest } = await pushed(daemon, "bydigest", digest);
    const { layers = [] } = manifest as { layers?: { mediaType: string }[] };
    for (const { mediaType } of layers) assert.match(mediaType, /\+zstd$/);
    const tags = await fetch(`${daemon.registry.url}/v2/bydigest/tags/list`);
    assert.doesNotMatch(await tags.text(), /latest/);
  });
});
