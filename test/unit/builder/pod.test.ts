// What each field of spec.kubernetes that buildx has no option for does to the pods.

import assert from "node:assert/strict";
import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { networkPolicy, service } from "../../../src/builder/kubernetes/access.ts";
import { PatchError } from "../../../src/builder/kubernetes/patch.ts";
import { podTemplate } from "../../../src/builder/kubernetes/pod.ts";
import { workload } from "../../../src/builder/kubernetes/workload.ts";
import { aRender, aSpec } from "./samples.ts";

type Kubernetes = NonNullable<BuilderSpecInput["kubernetes"]>;
type Template = ReturnType<typeof podTemplate>;

const template = (kubernetes: Kubernetes): Template => podTemplate(aRender(kubernetes));
const [only] = [
  ({ spec }: Template) => spec.initContainers?.find(({ name }) => name === "buildkitd"),
];
const env = (kubernetes: Kubernetes) => only?.(template(kubernetes))?.env;
const mounts = (one: Template) => only?.(one)?.volumeMounts ?? [];
const volume = (one: Template, name: string) =>
  one.spec.volumes?.find((volume) => volume.name === name);

const affinity = { podAntiAffinity: { anything: ["goes"] } };
const volumes = [{ name: "gpu", hostPath: { path: "/dev/gpu" } }];
const volumeMounts = [{ name: "gpu", mountPath: "/gpu" }];

const cases: readonly (readonly [
  what: string,
  kubernetes: Kubernetes,
  seen: (one: Template) => unknown,
  is: unknown,
])[] = [
  ["affinity", { affinity }, ({ spec }) => spec.affinity, affinity],
  ["priorityClassName", { priorityClassName: "low" }, ({ spec }) => spec.priorityClassName, "low"],
  ["runtimeClassName", { runtimeClassName: "kata" }, ({ spec }) => spec.runtimeClassName, "kata"],
  [
    "topologySpreadConstraints, with the Builder's own pods to count",
    { topologySpreadConstraints: [{ topologyKey: "zone" }] },
    ({ spec }) => spec.topologySpreadConstraints,
    [
      {
        topologyKey: "zone",
        maxSkew: 1,
        whenUnsatisfiable: "ScheduleAnyway",
        labelSelector: {
          matchLabels: { "kiln.build/builder": "main", "kiln.build/builder-kind": "Builder" },
        },
      },
    ],
  ],
  [
    "imagePullSecrets",
    { imagePullSecrets: [{ name: "pull" }] },
    ({ spec }) => spec.imagePullSecrets,
    [{ name: "pull" }],
  ],
  ["no token, when nothing is said", {}, ({ spec }) => spec.automountServiceAccountToken, false],
  [
    "no token either, when only an account is named",
    { serviceAccountName: "cloud" },
    ({ spec }) => spec.automountServiceAccountToken,
    false,
  ],
  [
    "automountServiceAccountToken",
    { serviceAccountName: "cloud", automountServiceAccountToken: true },
    ({ spec }) => spec.automountServiceAccountToken,
    true,
  ],
  ["volumes", { volumes }, (one) => volume(one, "gpu"), volumes[0]],
  ["volumeMounts", { volumes, volumeMounts }, (one) => mounts(one).at(-1), volumeMounts[0]],
  [
    "security: UserNamespace, as a user namespace of the pod's own",
    { security: "UserNamespace" },
    (one) => [one.spec.hostUsers, only?.(one)?.securityContext?.privileged],
    [false, true],
  ],
  [
    "security: Privileged, in the node's user namespace",
    { security: "Privileged" },
    ({ spec }) => spec.hostUsers,
    undefined,
  ],
  [
    "resources, for the init container of QEMU as well",
    { qemu: { install: true }, resources: { limits: { memory: "1Gi" } } },
    ({ spec }) => spec.initContainers?.[0]?.resources,
    { limits: { memory: "1Gi" } },
  ],
  [
    "an agent with the resources of agentResources, and the others as they are",
    { agentResources: { requests: { cpu: "200m" }, limits: { memory: "2Gi" } } },
    ({ spec }) => spec.containers[0]?.resources,
    { requests: { cpu: "200m", memory: "128Mi" }, limits: { memory: "2Gi" } },
  ],
];

describe("a pod of a Builder has", () => {
  for (const [what, kubernetes, seen, is] of cases) {
    it(what, () => assert.deepEqual(seen(template(kubernetes)), is));
  }

  it("the proxies as environment, but for what env says", () => {
    const proxy = {
      httpProxy: "http://p:1",
      httpsProxy: "http://p:1",
      noProxy: [".svc", "10.0.0.0/8"],
    };
    assert.deepEqual(env({ proxy, env: [{ name: "HTTPS_PROXY", value: "http://q:2" }] }), [
      { name: "HTTP_PROXY", value: "http://p:1" },
      { name: "HTTPS_PROXY", value: "http://q:2" },
      { name: "NO_PROXY", value: ".svc,10.0.0.0/8" },
    ]);
  });

  it("variables from Secrets, ConfigMaps and the pod itself", () => {
    const list = [
      { name: "A", valueFrom: { secretKeyRef: { name: "s", key: "k" } } },
      { name: "B", valueFrom: { configMapKeyRef: { name: "c", key: "k", optional: true } } },
      { name: "C", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
      { name: "D", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "1m" } } },
    ];
    assert.deepEqual(env({ env: list }), list);
  });

  for (const [kind, source] of [
    ["Secret", { secretKeyRef: { name: "company", key: "ca.pem" } }],
    ["ConfigMap", { configMapKeyRef: { name: "company", key: "ca.pem" } }],
  ] as const) {
    it(`authorities of a ${kind}, besides those of the system`, () => {
      const one = template({ trustedCertificates: source });
      const items = [{ key: "ca.pem", path: "trusted.crt" }];
      assert.deepEqual(only?.(one)?.env, [
        { name: "SSL_CERT_DIR", value: "/etc/ssl/certs:/etc/kiln/certificates" },
      ]);
      const { name: _, ...from } = volume(one, "kiln-certificates") ?? { name: "" };
      assert.deepEqual(
        from,
        kind === "Secret"
          ? { secret: { secretName: "company", items } }
          : { configMap: { name: "company", items } },
      );
    });
  }

  it("the files of registries from their Secrets, each where buildkitd.toml looks for them", () => {
    const { buildkitd } = aSpec({
      kubernetes: {},
      buildkitd: {
        registries: [
          { host: "a.example:5000", ca: { secretName: "a-ca", key: "root.pem" } },
          { host: "b.example", clientCertificate: { secretName: "b-client" } },
          { host: "c.example", http: true },
        ],
      },
    });
    const one = podTemplate(aRender({}, { buildkitd }));
    assert.deepEqual(volume(one, "kiln-registries")?.projected?.sources, [
      { secret: { name: "a-ca", items: [{ key: "root.pem", path: "a.example_5000/ca.crt" }] } },
      {
        secret: {
          name: "b-client",
          items: [
            { key: "tls.crt", path: "b.example/tls.crt" },
            { key: "tls.key", path: "b.example/tls.key" },
          ],
        },
      },
    ]);
    assert.equal(mounts(one).at(-1)?.mountPath, "/etc/kiln/registries");
  });
});

describe("labels and annotations of a Builder", () => {
  const input = aRender({ labels: { team: "shop" }, annotations: { "a.example/b": "c" } });
  const objects = {
    ReplicaSet: workload(input),
    Service: service(input),
    NetworkPolicy: networkPolicy(input),
  };

  for (const [kind, object] of Object.entries(objects)) {
    it(`are on its ${kind}`, () => {
      assert.equal(object.metadata.labels?.["team"], "shop");
      assert.equal(object.metadata.annotations?.["a.example/b"], "c");
    });
  }

  it("are in no selector", () => {
    const selectors = [
      objects.ReplicaSet.spec?.selector,
      objects.Service.spec?.selector,
      objects.NetworkPolicy.spec?.podSelector,
    ];
    assert.doesNotMatch(JSON.stringify(selectors), /team/);
  });
});

describe("volumes of a Builder", () => {
  it("are kept or deleted as it says", () => {
    const storage = { size: "1Gi", whenDeleted: "Retain", whenScaled: "Delete" } as const;
    const set = workload(aRender({ storage }));
    assert.ok(set.kind === "StatefulSet");
    assert.deepEqual(
      (set.spec as { persistentVolumeClaimRetentionPolicy?: object })
        .persistentVolumeClaimRetentionPolicy,
      {
        whenDeleted: "Retain",
        whenScaled: "Delete",
      },
    );
  });
});

describe("a patch of the pod template", () => {
  it("comes last, and is part of the hash", () => {
    const patch = { spec: { hostNetwork: true, containers: [{ name: "buildkitd", stdin: true }] } };
    const one = template({ podTemplatePatch: patch });
    assert.equal(one.spec.hostNetwork, true);
    assert.equal(one.spec.containers.length, 1);
    assert.equal(only?.(one)?.stdin, true);
    const hash = ({ metadata }: Template) => metadata.annotations["kiln.build/template-hash"];
    assert.notEqual(hash(one), hash(template({})));
  });

  const refused: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    [
      "a label of Kiln's",
      { metadata: { labels: { "kiln.build/builder": "other" } } },
      /metadata\.labels\["kiln\.build\/builder"\] is Kiln's own/,
    ],
    [
      "the daemon's arguments",
      { spec: { containers: [{ name: "buildkitd", args: ["--addr=tcp://0.0.0.0:1"] }] } },
      /containers\[0\]\.args is Kiln's own, use spec\.buildkitd/,
    ],
    [
      "the removal of the daemon",
      { spec: { containers: [{ name: "buildkitd", $patch: "delete" }] } },
      /containers\[0\] would remove buildkitd/,
    ],
    ["a whole workload", { template: {} }, /podTemplatePatch\.template is not known/],
    [
      "a new name",
      { metadata: { name: "other" } },
      /podTemplatePatch\.metadata\.name is not known/,
    ],
  ];
  for (const [what, podTemplatePatch, says] of refused) {
    it(`is refused with ${what}`, () => {
      assert.throws(
        () => template({ podTemplatePatch }),
        (error) => error instanceof PatchError && says.test(error.message),
      );
    });
  }
});
