// Does a real API server take everything that a Builder can ask of its pods, and does Kiln say so when not?

import assert from "node:assert/strict";
import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { everyDaemonField, everyPodField } from "../api/every-field.ts";
import { builders } from "../../../src/builder/index.ts";
import { podDisruptionBudgets } from "../../../src/kube/types.ts";
import { Kiln, runningAt, soon, until } from "./kiln.ts";

type Kubernetes = NonNullable<BuilderSpecInput["kubernetes"]>;

describe("the options of a Builder on a real API server", () => {
  let kiln: Kiln;
  before(async () => {
    kiln = await Kiln.start();
  });
  after(async () => await kiln?.stop());

  async function hashOf(namespace: string, kind?: "StatefulSet"): Promise<string | undefined> {
    const { spec } = await kiln.workload(namespace, kind);
    return spec.template.metadata.annotations["kiln.build/template-hash"];
  }

  async function stalled(namespace: string): Promise<string | undefined> {
    const { conditions = [] } = await kiln.status(namespace);
    return conditions.find(({ type, status }) => type === "Stalled" && status === "True")?.reason;
  }

  it("are all taken at once, as pods", async () => {
    const namespace = await kiln.namespace();
    for (const name of ["certs", "registry-ca"]) {
      await kiln.secret(namespace, name, { "ca.crt": "CA", one: "1" });
      await kiln.allow(namespace, "default", name);
    }
    await kiln.secret(namespace, "registry-client", { "tls.crt": "C", "tls.key": "K" });
    await kiln.configMap(namespace, "cloud", { region: "north" });
    await kiln.configMap(namespace, "company", { "ca.pem": "CA" });
    for (const name of ["registry-client", "cloud", "company"])
      await kiln.allow(namespace, "default", name);
    await kiln.builder(namespace, {
      kubernetes: everyPodField as Kubernetes,
      buildkitd: everyDaemonField as BuilderSpecInput["buildkitd"],
    });
    const set = await kiln.workload(namespace, "StatefulSet");
    const pod = (set.spec.template as unknown as { spec: Record<string, unknown> }).spec;
    const { env, affinity, proxy: _, topologySpreadConstraints: spreads } = everyPodField;
    assert.deepEqual(pod["affinity"], affinity);
    assert.equal((pod["topologySpreadConstraints"] as unknown[]).length, spreads.length);
    assert.equal(pod["schedulerName"], "bin-packer");
    assert.equal(pod["serviceAccountName"], "registry-identity");
    assert.equal(pod["automountServiceAccountToken"], true);
    assert.deepEqual(pod["hostAliases"], [{ ip: "10.1.2.3", hostnames: ["mirror"] }]);
    const init = pod["initContainers"] as {
      name: string;
      env: { name: string }[];
      lifecycle?: object;
    }[];
    const container = init.find(({ name }) => name === "buildkitd");
    const names = container?.env.map(({ name }) => name) ?? [];
    assert.ok(env.every(({ name }) => names.includes(name)));
    assert.ok(container?.lifecycle !== undefined, "the patch");
    const settled = await kiln.becomes(namespace, "False Starting");
    assert.equal(settled.templateHash, await hashOf(namespace, "StatefulSet"));
  });

  it("are left alone once written: what the API server fills in is no drift", async () => {
    const namespace = await kiln.namespace();
    const {
      storage: _,
      podTemplatePatch,
      env: __,
      trustedCertificates: ___,
      volumes,
      ...rest
    } = everyPodField;
    const kubernetes = {
      ...rest,
      volumes: [volumes[0]],
      volumeMounts: [],
      podTemplatePatch,
    } as Kubernetes;
    await kiln.builder(namespace, { kubernetes });
    await kiln.becomes(namespace, "False Starting");
    const before = await kiln.workload(namespace);
    // Rings a reconcile, and waits for it: the status speaks about the newest generation then.
    await kiln.builder(namespace, { kubernetes, maxConcurrentRuns: 7 });
    await until("the newest generation", async () => {
      const object = await kiln.client.get(builders, { namespace, name: "main" }, soon());
      const status = object?.status as { observedGeneration?: number } | undefined;
      return status?.observedGeneration === object?.metadata.generation ? true : undefined;
    });
    const after = await kiln.workload(namespace);
    assert.equal(after.metadata.generation, before.metadata.generation);
  });

  it("roll the pods when what a Secret or ConfigMap holds changes, and only then", async () => {
    const namespace = await kiln.namespace();
    await kiln.secret(namespace, "token", { key: "1", other: "1" });
    await kiln.configMap(namespace, "settings", { key: "1" });
    for (const name of ["token", "settings"]) await kiln.allow(namespace, "default", name);
    const ref = (name: string) => ({ name, key: "key" });
    await kiln.builder(namespace, {
      kubernetes: {
        env: [
          { name: "A", valueFrom: { secretKeyRef: ref("token") } },
          { name: "B", valueFrom: { configMapKeyRef: ref("settings") } },
        ],
      },
    });
    const first = await hashOf(namespace);
    const other = async (than: (string | undefined)[]): Promise<string> =>
      await until("another template", async () => {
        const hash = await hashOf(namespace);
        return hash === undefined || than.includes(hash) ? undefined : hash;
      });
    await kiln.secret(namespace, "token", { key: "1", other: "2" });
    await kiln.configMap(namespace, "settings", { key: "2" });
    const second = await other([first]);
    await kiln.secret(namespace, "token", { key: "2", other: "2" });
    const third = await other([first, second]);
    await kiln.secret(namespace, "token", { key: "1", other: "3" });
    assert.equal(await other([third]), second, "an unused key counts for nothing");
  });

  const env = (source: object) =>
    ({ kubernetes: { env: [{ name: "A", valueFrom: source }] } }) as BuilderSpecInput;
  const broken: readonly (readonly [
    what: string,
    BuilderSpecInput,
    reason: string,
    says: RegExp,
  ])[] = [
    [
      "a Secret that is missing",
      env({ secretKeyRef: { name: "readable", key: "a" } }),
      "SecretNotFound",
      /Secret builders-\d+\/readable, which the pods use, does not exist: create it/,
    ],
    [
      "a Secret that the account may not read",
      env({ secretKeyRef: { name: "locked", key: "a" } }),
      "SecretForbidden",
      /Service account builders-\d+\/default may not read Secret locked.*allow it "get"/,
    ],
    [
      "a ConfigMap that is missing",
      env({ configMapKeyRef: { name: "readable", key: "a" } }),
      "ConfigMapNotFound",
      /ConfigMap builders-\d+\/readable, which the pods use, does not exist/,
    ],
    [
      "a key that is missing",
      env({ secretKeyRef: { name: "partial", key: "b" } }),
      "SecretInvalid",
      /has no key b, which the pods use: add it/,
    ],
    [
      "a configuration with a slip of the pen",
      { kubernetes: {}, buildkitd: { config: "[worker.oci]\n  max-paralelism = 4\n" } },
      "InvalidConfig",
      /spec\.buildkitd\.config: worker\.oci\.max-paralelism \(line 2\) is no key of buildkitd\.toml/,
    ],
    [
      "a patch of what is Kiln's",
      { kubernetes: { podTemplatePatch: { metadata: { labels: { "kiln.build/builder": "x" } } } } },
      "InvalidPodTemplatePatch",
      /spec\.kubernetes\.podTemplatePatch\.metadata\.labels\["kiln\.build\/builder"\] is Kiln's own: correct/,
    ],
    [
      "a patch that makes no pod",
      { kubernetes: { podTemplatePatch: { spec: { restartPolicy: "Sometimes" } } } },
      "CreateFailed",
      /restartPolicy.*Sometimes/,
    ],
    [
      "a patch with a value of the wrong type",
      { kubernetes: { podTemplatePatch: { metadata: { annotations: { "a.example/b": true } } } } },
      "CreateFailed",
      /annotations\.a\.example\/b: expected string/,
    ],
    [
      "an affinity with a misspelt member",
      { kubernetes: { affinity: { nodeAfinity: {} } } },
      "CreateFailed",
      /nodeAfinity.*field not declared in schema/,
    ],
  ];
  for (const [what, spec, reason, says] of broken) {
    it(`are refused with a sentence: ${what}`, async () => {
      const namespace = await kiln.namespace();
      for (const name of ["readable", "partial"]) await kiln.allow(namespace, "default", name);
      await kiln.secret(namespace, "partial", { a: "1" });
      await kiln.builder(namespace, spec);
      const status = await kiln.becomes(namespace, `False ${reason}`);
      const ready = status.conditions?.find(({ type }) => type === "Ready");
      assert.match(ready?.message ?? "", says);
      assert.equal(await stalled(namespace), reason);
    });
  }

  it("leave the pods that run as they are while they are faulty", async () => {
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, { kubernetes: {}, buildkitd: { maxParallelism: 2 } });
    const before = await hashOf(namespace);
    await kiln.builder(namespace, { kubernetes: {}, buildkitd: { config: "no TOML" } });
    await kiln.becomes(namespace, "False InvalidConfig");
    assert.equal(await hashOf(namespace), before);
  });

  it("may be applied again and again, even when a driver is left empty", async () => {
    const namespace = await kiln.namespace();
    for (const maxConcurrentRuns of [1, 2, 3])
      await kiln.builder(namespace, { kubernetes: {}, maxConcurrentRuns });
    const object = await kiln.client.get(builders, { namespace, name: "main" }, soon());
    const spec = object?.spec as { kubernetes?: { security?: string } } | undefined;
    assert.equal(spec?.kubernetes?.security, "Rootless");
  });

  it("say of registries what a run may know, with the authority that is there now", async () => {
    const namespace = await kiln.namespace();
    const pem = (text: string) =>
      `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
    const key = "-----BEGIN PRIVATE KEY-----\nKEY\n-----END PRIVATE KEY-----\n";
    await kiln.secret(namespace, "registry", { "ca.crt": pem("A") + key, "tls.key": key });
    await kiln.allow(namespace, "default", "registry");
    const clientCertificate = { secretName: "registry", certificateKey: "ca.crt" };
    const registries = [
      { host: "a.example", ca: { secretName: "registry" }, clientCertificate },
      { host: "plain.example:5000", http: true },
    ];
    await kiln.builder(namespace, { kubernetes: {}, buildkitd: { registries } });
    const ref = { kind: "Builder", namespace, name: "main" } as const;
    await until("the Builder", async () => kiln.fleet.spec(ref));
    const said = (...hosts: string[]) => kiln.fleet.registries(ref, new Set(hosts), soon());
    const { authorities, insecureRegistries } = await said("a.example", "plain.example:5000");
    assert.deepEqual(authorities, new Map([["a.example", pem("A")]]));
    assert.deepEqual(insecureRegistries, new Set(["plain.example:5000"]));
    await kiln.secret(namespace, "registry", { "ca.crt": pem("B"), "tls.key": key });
    assert.equal((await said("a.example")).authorities.get("a.example"), pem("B"));
    assert.equal((await said("other.example")).authorities.size, 0);
    await kiln.secret(namespace, "registry", { "tls.key": key });
    await assert.rejects(said("a.example"), { class: "Builder", reason: "SecretInvalid" });
    const gone = { ...ref, name: "gone" };
    const nothing = await kiln.fleet.registries(gone, new Set(["a.example"]), soon());
    assert.deepEqual(nothing, { authorities: new Map(), insecureRegistries: new Set() });
  });

  it("keep evictions away while an instance builds, and only then", async () => {
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, { kubernetes: {} });
    await kiln.pod(namespace, "builder-main-a", runningAt("127.0.0.1"));
    const ref = { kind: "Builder", namespace, name: "main" } as const;
    await until("the instance", async () => kiln.fleet.instances(ref)[0]);
    const budget = async () =>
      await kiln.client.get(podDisruptionBudgets, { namespace, name: "builder-main" }, soon());
    assert.equal(await budget(), undefined);
    let running = 1;
    kiln.fleet.reportLoad(
      () => ({ running }),
      () => [],
    );
    // As a run does when it starts.
    await kiln.fleet.place(ref, "builder-main-a", soon());
    const { spec } = await until("the budget", budget);
    assert.equal(spec?.maxUnavailable, 0);
    const selector = { "kiln.build/builder": "main", "kiln.build/builder-kind": "Builder" };
    assert.deepEqual(spec?.selector?.matchLabels, selector);
    running = 0;
    await until("no budget", async () => ((await budget()) === undefined ? true : undefined));
  });
});
