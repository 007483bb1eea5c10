// A canary in every field of a Builder that names a Secret: none of them is in a status, event, log, object that Kiln makes,
// argument or environment, whether the connection is made or not.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { Writable } from "node:stream";
import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { configMaps, replicaSets } from "../../../src/kube/types.ts";
import { rootLogger } from "../../../src/log.ts";
import { authority, type Buildkitd, buildkitd, leaf, scratch } from "../../cluster/index.ts";
import { assertNowhere, canaryOf, keyLines, secretFields, sshKey, watched } from "../canaries.ts";
import { Kiln, soon, until } from "./kiln.ts";

type Data = Record<string, string>;

const nobody = "tcp://127.0.0.1:9";
const host = "ssh://root@127.0.0.1:9";
const engineOf = "docker-container://buildkitd";

describe("secrets of a Builder on a real API server", () => {
  let kiln: Kiln;
  let daemon: Buildkitd;
  const place = scratch("builder-canaries");
  const lines: string[] = [];
  const data = new Map<string, Data>();
  const canaries = new Map<string, string[]>();

  before(async () => {
    const sink = new Writable({
      write(chunk: Buffer, _, done) {
        lines.push(chunk.toString("utf8"));
        done();
      },
    });
    kiln = await Kiln.start({ namespacedSockets: true, log: rootLogger("debug", sink) });
    daemon = await buildkitd({ tls: true, mirror: false });
    for (const [name, field] of Object.entries(secrets)) await plant(name, field);
  });
  after(async () => {
    await kiln?.stop();
    await daemon?.stop();
    place.remove();
  });

  /** Secrets by name, each with the fields that name it, with or without `nodes[]` before them. */
  const secrets: Readonly<Record<string, readonly string[]>> = {
    "remote-tls": ["remote.tls.secretRef"],
    "remote-ssh": ["remote.ssh.secretRef"],
    "engine-tls": ["remote.engine.tls.secretRef"],
    "engine-ssh": ["remote.engine.ssh.secretRef"],
    kubeconfig: ["remote.kubeconfig.secretRef"],
    "docker-tls": ["docker.tls.secretRef"],
    "docker-ssh": ["docker.ssh.secretRef"],
    "container-tls": ["dockerContainer.tls.secretRef"],
    "container-ssh": ["dockerContainer.ssh.secretRef"],
    pods: [
      "kubernetes.imagePullSecrets",
      "kubernetes.env[].valueFrom.secretKeyRef",
      "kubernetes.trustedCertificates.secretKeyRef",
      "buildkitd.registries[].ca.secretName",
      "buildkitd.registries[].clientCertificate.secretName",
    ],
  };

  const read = (file: string | undefined): string => readFileSync(file ?? "", "utf8");

  async function plant(name: string, fields: readonly string[]): Promise<void> {
    const kept = await contentOf(name);
    data.set(name, kept.data);
    for (const field of fields) canaries.set(field, kept.canaries);
  }

  async function contentOf(name: string): Promise<{ data: Data; canaries: string[] }> {
    if (name.endsWith("-tls")) {
      const real = name === "remote-tls" ? daemon.tls : undefined;
      const ca = await authority(path.join(place.folder, name), "ca");
      const own = await leaf(ca, { name: "client", commonName: "client" });
      const [cert, key] = [read(real?.cert ?? own.cert), read(real?.key ?? own.key)];
      const of = { "ca.crt": read(real?.ca ?? ca.cert), "tls.crt": cert, "tls.key": key };
      return { data: of, canaries: keyLines(key) };
    }
    if (name.endsWith("-ssh")) {
      const key = await sshKey();
      const known =
        "[127.0.0.1]:9 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBTcx2Bdo4s3Ye8gVgPSb0lEyYj3ijJQKdhxWkKKwM8v";
      return { data: { known_hosts: known, "ssh-privatekey": key }, canaries: keyLines(key) };
    }
    const canary = canaryOf(name);
    if (name !== "kubeconfig") return { data: { value: canary }, canaries: [canary] };
    const token = "c4n4ry-token-41fd";
    const config = {
      clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:9" } }],
      users: [{ name: "u", user: { token } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    };
    return { data: { kubeconfig: JSON.stringify(config) }, canaries: [token] };
  }

  it("have a canary in every field that names a Secret", () => {
    const fields = secretFields("Builder").map((field) => field.replace(/^nodes\[\]\./, ""));
    assert.deepEqual(
      [...new Set(fields)].filter((field) => !canaries.has(field)),
      [],
    );
  });

  const by = (name: string) => ({ secretRef: { name } });
  const nodes = (): Record<string, object> => ({
    "remote-tls": { remote: { endpoint: daemon.address, tls: by("remote-tls") } },
    "remote-ssh": { remote: { endpoint: host, ssh: by("remote-ssh") } },
    "engine-tls": {
      remote: { endpoint: engineOf, engine: { endpoint: nobody, tls: by("engine-tls") } },
    },
    "engine-ssh": {
      remote: { endpoint: engineOf, engine: { endpoint: host, ssh: by("engine-ssh") } },
    },
    kubeconfig: { remote: { endpoint: "kube-pod://buildkitd", kubeconfig: by("kubeconfig") } },
    "docker-tls": { docker: { endpoint: nobody, tls: by("docker-tls") } },
    "docker-ssh": { docker: { endpoint: host, ssh: by("docker-ssh") } },
    "container-tls": { dockerContainer: { endpoint: nobody, tls: by("container-tls") } },
    "container-ssh": { dockerContainer: { endpoint: host, ssh: by("container-ssh") } },
  });

  /** A namespace with every Secret, and a Builder in it. */
  async function builder(spec: object): Promise<string> {
    const namespace = await kiln.namespace();
    for (const [name, of] of data) {
      await kiln.secret(namespace, name, of);
      await kiln.allow(namespace, "default", name);
    }
    await kiln.builder(namespace, spec as BuilderSpecInput);
    return namespace;
  }

  /** Waits until every instance was tried, and looks for canaries everywhere. */
  async function areSilent(
    namespaces: readonly string[],
    tried: () => Promise<unknown>,
  ): Promise<void> {
    const seen = await watched(tried());
    for (const namespace of namespaces) {
      const objects = await Promise.all([
        kiln.status(namespace),
        kiln.events(namespace),
        kiln.client.list(configMaps, { namespace }, soon()),
        kiln.client.list(replicaSets, { namespace }, soon()),
      ]);
      seen.set(`objects of ${namespace}`, JSON.stringify(objects));
    }
    seen.set("log", lines.join(""));
    assert.ok(lines.length > 0 && seen.size > 10);
    assertNowhere(
      seen,
      [...canaries].flatMap(([field, all]) => all.map((one) => [field, one] as const)),
    );
  }

  /** Every node of a Builder says that it is there or why it is not; none lacks its Secret. */
  async function wereTried(namespace: string, count: number): Promise<void> {
    await until("every instance to be tried", async () => {
      const { instances = [] } = await kiln.status(namespace);
      const told = instances.filter(({ ready, reason }) => ready === true || reason !== undefined);
      if (told.length < count) throw new Error(JSON.stringify(instances));
      assert.doesNotMatch(JSON.stringify(instances), /"Secret|Invalid/);
      return true;
    });
  }

  it("are nowhere to be seen when they are of nodes", async () => {
    const all = Object.entries(nodes()).map(([name, node]) => ({ name, ...node }));
    const parts = [all.slice(0, 5), all.slice(5)];
    const made = await Promise.all(parts.map((part) => builder({ nodes: part })));
    await areSilent(made, async () => {
      for (const [index, namespace] of made.entries())
        await wereTried(namespace, parts[index]?.length ?? 0);
    });
  });

  it("are nowhere to be seen when they are of the driver itself", async () => {
    const drivers = Object.values(nodes());
    const made = await Promise.all(drivers.map((driver) => builder(driver)));
    await areSilent(made, async () => {
      await kiln.becomes(made[0] ?? "", "True InstancesReady");
      for (const namespace of made) await wereTried(namespace, 1);
    });
  });

  it("are nowhere to be seen when they are of pods", async () => {
    const key = { name: "pods", key: "value" };
    const namespace = await builder({
      kubernetes: {
        imagePullSecrets: [{ name: "pods" }],
        env: [{ name: "LOGIN", valueFrom: { secretKeyRef: key } }],
        trustedCertificates: { secretKeyRef: key },
      },
      buildkitd: {
        registries: [
          {
            host: "registry.example",
            ca: { secretName: "pods", key: "value" },
            clientCertificate: {
              secretName: "pods",
              certificateKey: "value",
              privateKeyKey: "value",
            },
          },
        ],
      },
    });
    await areSilent([namespace], () => kiln.workload(namespace));
  });
});
