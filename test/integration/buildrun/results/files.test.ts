// File outputs: archives and files in a registry and in a bucket, read back and compared with what was built.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { type ObjectStore, objectStore, type Registry, registry } from "../../../cluster/index.ts";
import { configMaps } from "../../../../src/kube/types.ts";
import {
  account,
  aDaemon,
  build,
  configMap,
  type Daemon,
  inline,
  secret,
  succeeds,
} from "../daemon.ts";
import { never } from "../kiln.ts";

const run = promisify(execFile);
const files = [
  "FROM busybox AS b",
  "RUN mkdir -p /out/bin && echo tool > /out/bin/tool && ln -s tool /out/bin/alias",
  "RUN head -c 20000000 /dev/urandom > /out/large && touch /out/none",
  "FROM scratch",
  "COPY --from=b /out /",
  "",
].join("\n");

interface Manifest {
  readonly artifactType: string;
  readonly layers: readonly {
    readonly digest: string;
    readonly size: number;
    readonly annotations: Readonly<Record<string, string>>;
  }[];
}

async function artifact(
  { registry: { url } }: Pick<Daemon, "registry">,
  name: string,
  tag: string,
) {
  const accept = "application/vnd.oci.image.manifest.v1+json";
  const response = await fetch(`${url}/v2/${name}/manifests/${tag}`, { headers: { accept } });
  assert.equal(response.status, 200);
  const manifest = (await response.json()) as Manifest;
  return { manifest, digest: response.headers.get("docker-content-digest") };
}

async function blob({ registry: { url } }: Pick<Daemon, "registry">, name: string, digest: string) {
  const data = Buffer.from(await (await fetch(`${url}/v2/${name}/blobs/${digest}`)).arrayBuffer());
  assert.equal(`sha256:${createHash("sha256").update(data).digest("hex")}`, digest);
  return data;
}

/** Names in a tar archive. */
async function names(archive: Buffer): Promise<string[]> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "kiln-files-"));
  try {
    const file = path.join(folder, "a.tar");
    await writeFile(file, archive);
    const { stdout } = await run("tar", ["-tf", file]);
    return stdout.trim().split("\n");
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("the file outputs of a run", () => {
  const daemon = aDaemon();
  let s3: ObjectStore;
  let locked: Registry;
  let secured: Registry & { readonly ca: string };
  before(async () => {
    s3 = await objectStore();
    locked = await registry({ auth: { user: "kiln", password: "kiln-test-password" } });
    const { ca = "", ...rest } = await registry({ tls: true });
    secured = { ...rest, ca };
  });
  after(async () => await Promise.all([s3.stop(), locked.stop(), secured.stop()]));
  beforeEach(async () => {
    const login = { AWS_ACCESS_KEY_ID: s3.accessKey, AWS_SECRET_ACCESS_KEY: s3.secretKey };
    await secret(daemon, "bucket", login);
  });

  const toRegistry = (name: string) => ({
    artifact: { ref: `${daemon.registry.host}/${name}`, insecure: true },
  });
  const toBucket = (key: string, more: object = {}) => ({
    s3: {
      bucket: "outputs",
      region: s3.region,
      endpoint: s3.url,
      pathStyle: true,
      key,
      credentials: { secretRef: { name: "bucket" } },
      ...more,
    },
  });

  it("are an artifact with the files as layers", async () => {
    const outputs = [{ local: { to: toRegistry("files:1") } }];
    const status = await succeeds(daemon, inline(files, { outputs }));
    const { manifest, digest } = await artifact(daemon, "files", "1");
    const titles = manifest.layers.map((l) => l.annotations["org.opencontainers.image.title"]);
    assert.deepEqual(new Set(titles), new Set(["bin/tool", "large", "none"]));
    const tool = manifest.layers[titles.indexOf("bin/tool")];
    assert.equal((await blob(daemon, "files", tool?.digest ?? "")).toString(), "tool\n");
    assert.equal(
      (await blob(daemon, "files", manifest.layers[titles.indexOf("large")]?.digest ?? "")).length,
      20_000_000,
    );
    const written = status.outputs?.[0]?.files;
    assert.deepEqual(written, {
      type: "local",
      location: `${daemon.registry.host}/files:1@${digest}`,
      digest,
      size: 20_000_005,
      files: 3,
      skipped: 1,
    });
  });

  it("are objects of a bucket, and nothing else is there", async () => {
    const folder = s3.bucket("outputs");
    const outputs = [{ local: { to: toBucket("builds/7/") } }];
    const status = await succeeds(daemon, inline(files, { outputs }));
    assert.equal(await readFile(path.join(folder, "builds/7/bin/tool"), "utf8"), "tool\n");
    assert.equal((await readFile(path.join(folder, "builds/7/large"))).length, 20_000_000);
    assert.equal(status.outputs?.[0]?.files?.location, "s3://outputs/builds/7/");
    assert.equal(JSON.stringify(status).includes(s3.secretKey), false);
  });

  it("are archives of every kind, several at once and beside an image", async () => {
    const folder = s3.bucket("outputs");
    const image = `${daemon.registry.host}/beside:1`;
    const outputs = [
      { image: { tags: [image] } },
      { oci: { to: toRegistry("oci:1"), tags: ["registry.example/web:1"], compression: "zstd" } },
      { docker: { to: toBucket("docker.tar"), tags: ["registry.example/web:1"] } },
      { tar: { to: toBucket("files.tar") } },
    ];
    const { outputs: made } = await succeeds(daemon, inline(files, { outputs }));
    const [, oci, docker, tar] = made ?? [];
    assert.deepEqual(
      made?.map(({ files: of }) => of?.type),
      [undefined, "oci", "docker", "tar"],
    );
    const { manifest } = await artifact(daemon, "oci", "1");
    assert.equal(manifest.artifactType, "application/vnd.kiln.output.oci.v1");
    const layout = await blob(daemon, "oci", manifest.layers[0]?.digest ?? "");
    assert.ok((await names(layout)).includes("index.json"));
    assert.ok(layout.includes(oci?.files?.imageDigest ?? "none"), "the image is in the layout");
    assert.ok(
      (await names(await readFile(path.join(folder, "docker.tar")))).includes("manifest.json"),
    );
    const archive = await readFile(path.join(folder, "files.tar"));
    assert.ok((await names(archive)).some((name) => name.endsWith("bin/alias")));
    const sum = `sha256:${createHash("sha256").update(archive).digest("hex")}`;
    assert.deepEqual([tar?.files?.digest, tar?.files?.size], [sum, archive.length]);
    assert.ok((docker?.files?.size ?? 0) > 20_000_000);
  });

  it("have folders for several platforms", async () => {
    const folder = s3.bucket("outputs");
    const dockerfile = "FROM scratch\nCOPY Dockerfile /of\n";
    const spec = {
      context: { inline: { files: [{ path: "Dockerfile", text: dockerfile }] } },
      dockerfile: { path: "Dockerfile" },
      platforms: ["linux/amd64", "linux/arm64"],
      outputs: [{ local: { to: toBucket("platforms/") } }],
    };
    await succeeds(daemon, spec);
    const found = await readdir(path.join(folder, "platforms"));
    assert.deepEqual(found.toSorted(), ["linux_amd64", "linux_arm64"]);
  });

  it("log in to a registry with a password", async () => {
    const auths = { [locked.host]: { username: "kiln", password: "kiln-test-password" } };
    const type = "kubernetes.io/dockerconfigjson";
    await secret(daemon, "login", { ".dockerconfigjson": JSON.stringify({ auths }) }, type);
    const to = { artifact: { ref: `${locked.host}/files:1`, insecure: true } };
    const spec = inline(files, { outputs: [{ tar: { to } }] });
    const { failure } = await build(daemon, { ...spec, retry: { limit: 0 } });
    assert.deepEqual([failure?.class, failure?.reason], ["Registry", "RegistryAuthFailed"]);
    await succeeds(daemon, { ...spec, registryCredentials: [{ secretRef: { name: "login" } }] });
  });

  it("trust the authority that a Secret has beside the login", async () => {
    const auths = { [secured.host]: {} };
    const config = { ".dockerconfigjson": JSON.stringify({ auths }) };
    const type = "kubernetes.io/dockerconfigjson";
    await secret(daemon, "login", config, type);
    await secret(
      daemon,
      "trusting",
      { ...config, "ca.crt": await readFile(secured.ca, "utf8") },
      type,
    );
    const ref = `${secured.host}/files:1`;
    const outputs = [{ oci: { to: { artifact: { ref } } } }];
    const spec = (name: string) =>
      inline(files, {
        outputs,
        retry: { limit: 0 },
        registryCredentials: [{ secretRef: { name } }],
      });
    assert.equal((await build(daemon, spec("login"))).failure?.class, "Registry");
    const status = await succeeds(daemon, spec("trusting"));
    assert.match(status.outputs?.[0]?.files?.location ?? "", /\/files:1@sha256:/);
    const back = inline("FROM made\nCOPY --from=made /bin/tool /\n", {
      buildContexts: [{ name: "made", artifact: { ref } }],
      registryCredentials: [{ secretRef: { name: "trusting" } }],
    });
    await succeeds(daemon, back);
  });

  it("fail with the bucket's own word, and leave no half object", async () => {
    const folder = s3.bucket("outputs");
    const missing = inline(files, {
      outputs: [{ tar: { to: toBucket("x", { bucket: "nowhere" }) } }],
    });
    const { failure } = await build(daemon, missing);
    assert.deepEqual([failure?.class, failure?.reason], ["User", "BucketRefused"]);
    assert.match(failure?.message ?? "", /nowhere.*NoSuchBucket/);
    const failing = "FROM busybox AS b\nRUN head -c 12000000 /dev/urandom > /a\nRUN false\n";
    await build(daemon, inline(failing, { outputs: [{ tar: { to: toBucket("half") } }] }));
    assert.equal((await readdir(folder)).includes("half"), false);
  });

  describe("in a ConfigMap", () => {
    const small = [
      "FROM busybox AS b",
      "RUN mkdir /out && echo hello > /out/greeting && printf '\\377\\000' > /out/bytes",
      "FROM scratch",
      "COPY --from=b /out /",
      "",
    ].join("\n");
    const to = (name: string) => ({ configMap: { name } });
    const mine = { serviceAccountName: "writer", retry: { limit: 0 } };
    const read = async (name: string) =>
      await daemon.server.client.get(configMaps, { namespace: daemon.namespace, name }, never);

    beforeEach(async () => {
      await account(daemon, "writer", {
        resources: ["configmaps"],
        verbs: ["get", "create", "update"],
      });
    });

    it("are its keys, as text where they are text, and are replaced by the next run", async () => {
      const outputs = [{ local: { to: to("made") } }, { tar: { to: to("packed") } }];
      const status = await succeeds(daemon, inline(small, { ...mine, outputs }));
      const made = await read("made");
      assert.deepEqual(made?.data, { greeting: "hello\n" });
      assert.deepEqual(made?.binaryData, { bytes: Buffer.from([255, 0]).toString("base64") });
      const packed = Buffer.from(
        (await read("packed"))?.binaryData?.["output.tar"] ?? "",
        "base64",
      );
      assert.deepEqual((await names(packed)).toSorted(), ["bytes", "greeting"]);
      const [local, tar] = status.outputs ?? [];
      const sum = (data: Buffer | string) => createHash("sha256").update(data).digest("hex");
      const lines = `${sum(Buffer.from([255, 0]))}  bytes\n${sum("hello\n")}  greeting\n`;
      assert.deepEqual(local?.files, {
        type: "local",
        location: "configmap://made/",
        digest: `sha256:${sum(lines)}`,
        size: 8,
        files: 2,
      });
      assert.deepEqual(tar?.files, {
        type: "tar",
        location: "configmap://packed/output.tar",
        digest: `sha256:${sum(packed)}`,
        size: packed.length,
      });
      const next = small.replace("hello", "again").replace("/out/bytes", "/out/other");
      await succeeds(daemon, inline(next, { ...mine, outputs: outputs.slice(0, 1) }));
      const after = await read("made");
      assert.deepEqual(after?.data, { greeting: "again\n" });
      assert.deepEqual(Object.keys(after?.binaryData ?? {}), ["other"]);
    });

    const refused: readonly (readonly [string, string, object, string, string, RegExp])[] = [
      ["of more than 1 MiB", files, {}, "User", "OutputTooLarge", /1048576 bytes/],
      [
        "with folders",
        "FROM busybox AS b\nRUN mkdir -p /o/bin && touch /o/bin/tool\nFROM scratch\nCOPY --from=b /o /\n",
        {},
        "User",
        "OutputNotAKey",
        /"bin\/tool"/,
      ],
      [
        "that the account may not write",
        small,
        { serviceAccountName: "reader" },
        "Policy",
        "ConfigMapForbidden",
        /"create" and "update"/,
      ],
    ];
    for (const [what, dockerfile, over, kind, reason, says] of refused)
      it(`are refused ${what}`, async () => {
        const output = what.includes("1 MiB") ? "tar" : "local";
        const spec = { ...mine, ...over, outputs: [{ [output]: { to: to("none") } }] };
        const { failure } = await build(daemon, inline(dockerfile, spec));
        assert.deepEqual([failure?.class, failure?.reason], [kind, reason], failure?.message);
        assert.match(failure?.message ?? "", says);
        assert.equal(await read("none"), undefined);
      });

    it("are refused by an immutable ConfigMap, in the API server's words", async () => {
      const labels = { "kiln.build/output-of": "before" };
      const metadata = { namespace: daemon.namespace, name: "fixed", labels };
      await daemon.server.client.create(configMaps, { metadata, immutable: true }, never);
      const spec = { ...mine, outputs: [{ local: { to: to("fixed") } }] };
      const { failure } = await build(daemon, inline(small, spec));
      assert.deepEqual([failure?.class, failure?.reason], ["User", "ConfigMapRefused"]);
      assert.match(failure?.message ?? "", /immutable/);
    });

    it("leave a ConfigMap of somebody else as it is", async () => {
      await configMap(daemon, "theirs", { a: "b" });
      const spec = { ...mine, outputs: [{ local: { to: to("theirs") } }] };
      const { failure } = await build(daemon, inline(small, spec));
      assert.deepEqual([failure?.class, failure?.reason], ["User", "ConfigMapTaken"]);
      assert.deepEqual((await read("theirs"))?.data, { a: "b" });
    });
  });
});
