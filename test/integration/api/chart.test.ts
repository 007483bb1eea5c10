// The chart against the real helm and the real API server: does it lint, is everything that it
// renders accepted, does the controller's pod meet Pod Security `restricted`, and may the controller
// do what it must and nothing else.

import assert from "node:assert/strict";
import { resolve } from "node:path";
import { stringify } from "yaml";
import { kinds as ourKinds } from "../../../src/api/kinds.ts";
import { binary, kubectl, repositoryRoot } from "../../cluster/index.ts";
import { helm, rendered, type Rendered, template } from "./helm.ts";
import { type ApiServer, apiServer } from "./server.ts";

const everything: readonly string[] = [
  "replicas=3",
  'image.pullSecrets=["pull"]',
  'image.digest="sha256:' + "0".repeat(64) + '"',
  'buildkit={"image":"a/b:1","rootlessImage":"a/c:1","config":"debug = true\\n[registry.x]\\n  http = true"}',
  'extraArgs=["--log-level=debug"]',
  'impersonation.namespaces=["default"]',
  'serviceAccount.annotations={"a":"b"}',
  'networkPolicy.metricsFrom=[{"podSelector":{}}]',
  'podLabels={"team":"x"}',
  'podAnnotations={"a":"b"}',
  'nodeSelector={"a":"b"}',
  'tolerations=[{"operator":"Exists"}]',
  'affinity={"nodeAffinity":{}}',
  'priorityClassName="system-cluster-critical"',
];

const fewest: readonly string[] = [
  "crds.install=false",
  "rbac.create=false",
  "serviceAccount.create=false",
  "podDisruptionBudget.enabled=false",
  "networkPolicy.enabled=false",
  "replicas=1",
];

function pick(list: readonly Rendered[], kind: string, name: string): Rendered {
  const object = list.find((one) => one["kind"] === kind && one["metadata"].name === name);
  assert.ok(object !== undefined, `the chart renders no ${kind} ${name}`);
  return object;
}

describe("helm", () => {
  before(async function () {
    // The first time on a machine it is built from source.
    this.timeout(900_000);
    await binary("helm");
  });

  it("finds nothing to complain about", async () => {
    const { code, stdout, stderr } = await helm(
      "lint",
      "--strict",
      resolve(repositoryRoot, "helm"),
    );
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /1 chart\(s\) linted, 0 chart\(s\) failed/);
  });

  const refused: readonly (readonly [value: string, field: RegExp])[] = [
    ['replica="2"', /replica/],
    ['replicas="two"', /replicas/],
    ['logLevel="loud"', /logLevel/],
    ['image.digest="latest"', /image.*digest/s],
    ['impersonation.namespaces=["*"]', /impersonation.*namespaces/s],
    ['namespace.podSecurity="none"', /podSecurity/],
    ["shutdownGraceSeconds=0", /shutdownGraceSeconds/],
  ];
  for (const [value, field] of refused) {
    it(`refuses the value ${value} by its name`, async () => {
      const { code, stderr } = await helm(...template(value));
      assert.notEqual(code, 0);
      assert.match(stderr, field);
    });
  }

  it("renders the namespace with its Pod Security level when asked to", async () => {
    const list = await rendered("namespace.create=true");
    const { metadata } = pick(list, "Namespace", "kiln-system");
    assert.equal(metadata.labels["pod-security.kubernetes.io/enforce"], "privileged");
  });

  it("renders a ServiceMonitor for the labels of the Service when asked to", async () => {
    const list = await rendered("serviceMonitor.enabled=true");
    const { spec } = pick(list, "ServiceMonitor", "kiln");
    const service = pick(list, "Service", "kiln-metrics");
    for (const [label, value] of Object.entries(spec.selector.matchLabels)) {
      assert.equal(service["metadata"].labels[label], value);
    }
  });

  it("keeps the CRDs when the release goes", async () => {
    const crds = (await rendered()).filter(({ kind }) => kind === "CustomResourceDefinition");
    assert.equal(crds.length, ourKinds.length);
    for (const { metadata } of crds) {
      assert.equal(metadata.annotations["helm.sh/resource-policy"], "keep");
    }
  });

  it("gives the pod longer to end than the controller takes", async () => {
    const list = await rendered("shutdownGraceSeconds=40");
    const { spec } = pick(list, "Deployment", "kiln-controller")["spec"].template;
    assert.ok(spec.containers[0].args.includes("--shutdown-grace-ms=40000"));
    assert.equal(spec.terminationGracePeriodSeconds, 50);
  });
});

/** The two that these tests speak of; a suite before may have made them. */
async function namespaces(server: ApiServer): Promise<void> {
  for (const name of ["kiln-system", "shop"]) {
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
    const { status, body } = await server.send("POST", "/api/v1/namespaces", namespace);
    assert.ok(status === 201 || status === 409, body.message);
  }
}

describe("the API server and the chart", () => {
  let server: ApiServer;

  before(async () => {
    server = await apiServer();
    await namespaces(server);
  });

  async function apply(list: readonly Rendered[], ...flags: string[]): Promise<void> {
    const input = list.map((object) => stringify(object)).join("---\n");
    const args = ["apply", "--server-side", "--force-conflicts", "--validate=strict", ...flags];
    const { code, stderr } = await kubectl(server.plane.kubeconfig, [...args, "-f", "-"], {
      input,
    });
    assert.equal(code, 0, stderr);
  }

  for (const [what, values] of [
    ["its own values", []],
    ["every value set", everything],
    ["as little as possible", fewest],
  ] as const) {
    it(`accepts all that is rendered with ${what}`, async () => {
      await apply(await rendered(...values), "--dry-run=server");
    });
  }

  it("admits the controller's pod where Pod Security is restricted", async () => {
    const list = await rendered(...everything);
    await apply([pick(list, "ServiceAccount", "kiln-controller")]);
    const { metadata, spec } = pick(list, "Deployment", "kiln-controller")["spec"].template;
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "controller", labels: metadata.labels },
      spec,
    };
    const path = "/api/v1/namespaces/kiln-system/pods?dryRun=All";
    const admitted = await server.send("POST", path, pod);
    assert.equal(admitted.status, 201, admitted.body.message);
    // The same pod with one door open, to see that the level is enforced at all.
    const [container] = spec.containers;
    const open = { ...container, securityContext: { allowPrivilegeEscalation: true } };
    const refused = await server.send("POST", path, {
      ...pod,
      spec: { ...spec, containers: [open] },
    });
    assert.equal(refused.status, 403);
    assert.match(refused.body.message, /violates PodSecurity "restricted/);
  });
});

describe("the controller's service account", () => {
  let server: ApiServer;

  interface Right {
    readonly verb: string;
    readonly resource: string;
    readonly group?: string;
    readonly subresource?: string;
    readonly name?: string;
    readonly namespace?: string;
  }

  const may: readonly Right[] = [
    { verb: "watch", group: "kiln.build", resource: "buildruns" },
    { verb: "patch", group: "kiln.build", resource: "buildruns", subresource: "status" },
    { verb: "create", group: "kiln.build", resource: "buildruns", namespace: "shop" },
    { verb: "patch", group: "kiln.build", resource: "clusterbuilders", subresource: "status" },
    { verb: "patch", group: "apps", resource: "statefulsets", namespace: "shop" },
    { verb: "create", group: "events.k8s.io", resource: "events", namespace: "shop" },
    { verb: "patch", resource: "secrets", name: "kiln-builder-tls", namespace: "shop" },
    { verb: "impersonate", resource: "serviceaccounts", name: "builder", namespace: "shop" },
    { verb: "get", resource: "secrets", name: "kiln-ca", namespace: "kiln-system" },
    {
      verb: "update",
      group: "coordination.k8s.io",
      resource: "leases",
      name: "kiln-controller",
      namespace: "kiln-system",
    },
  ];

  const mayNot: readonly Right[] = [
    { verb: "get", resource: "secrets", name: "npm", namespace: "shop" },
    { verb: "list", resource: "secrets", namespace: "shop" },
    { verb: "watch", resource: "secrets" },
    { verb: "list", resource: "secrets", namespace: "kiln-system" },
    { verb: "get", resource: "secrets", name: "other", namespace: "kiln-system" },
    { verb: "delete", resource: "secrets", name: "kiln-builder-tls", namespace: "shop" },
    { verb: "get", resource: "secrets", name: "kiln-ca", namespace: "shop" },
    { verb: "get", resource: "configmaps", name: "files", namespace: "shop" },
    { verb: "create", resource: "pods", namespace: "shop" },
    { verb: "create", resource: "pods", subresource: "exec", namespace: "shop" },
    { verb: "create", resource: "pods", subresource: "portforward", namespace: "shop" },
    { verb: "create", resource: "serviceaccounts", subresource: "token", namespace: "shop" },
    { verb: "impersonate", resource: "users", name: "admin" },
    { verb: "impersonate", resource: "groups", name: "system:masters" },
    { verb: "update", group: "kiln.build", resource: "builders", namespace: "shop" },
    { verb: "update", group: "kiln.build", resource: "buildruns", namespace: "shop" },
    { verb: "get", resource: "nodes" },
    { verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings" },
    { verb: "bind", group: "rbac.authorization.k8s.io", resource: "clusterroles" },
    {
      verb: "update",
      group: "coordination.k8s.io",
      resource: "leases",
      name: "kube-scheduler",
      namespace: "kube-system",
    },
  ];

  before(async () => {
    server = await apiServer();
    await namespaces(server);
    await install();
  });

  async function install(...values: string[]): Promise<void> {
    const kinds = ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
    const list = (await rendered(...values)).filter(({ kind }) => kinds.includes(kind));
    const input = list.map((object) => stringify(object)).join("---\n");
    const { code, stderr } = await kubectl(
      server.plane.kubeconfig,
      ["apply", "--server-side", "--force-conflicts", "-f", "-"],
      { input },
    );
    assert.equal(code, 0, stderr);
  }

  async function allowed(right: Right): Promise<boolean> {
    const { status, body } = await server.send(
      "POST",
      "/apis/authorization.k8s.io/v1/subjectaccessreviews",
      {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        spec: {
          user: "system:serviceaccount:kiln-system:kiln-controller",
          groups: ["system:serviceaccounts", "system:authenticated"],
          resourceAttributes: right,
        },
      },
    );
    assert.equal(status, 201, body.message);
    return body.status.allowed;
  }

  /** The authorizer learns of new roles from its own watch, a moment after they were written. */
  async function becomes(right: Right, want: boolean): Promise<void> {
    const deadline = Date.now() + 10_000;
    while ((await allowed(right)) !== want) {
      assert.ok(Date.now() < deadline, `${words(right)} did not become ${want}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  function words({ verb, resource, subresource, name, namespace }: Right): string {
    const what = [resource, subresource].filter((part) => part !== undefined).join("/");
    return [verb, what, name, namespace && `in ${namespace}`].filter(Boolean).join(" ");
  }

  for (const right of may) {
    it(`may ${words(right)}`, async () => await becomes(right, true));
  }

  for (const right of mayNot) {
    it(`may not ${words(right)}`, async () => assert.equal(await allowed(right), false));
  }

  it("may act for runs of the listed namespaces only, when there is a list", async () => {
    const inShop = {
      verb: "impersonate",
      resource: "serviceaccounts",
      name: "a",
      namespace: "shop",
    };
    await becomes(inShop, true);
    const binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kiln-impersonation";
    await server.send("DELETE", binding);
    await install('impersonation.namespaces=["default"]');
    await becomes({ ...inShop, namespace: "default" }, true);
    await becomes({ ...inShop, namespace: "kiln-system" }, true);
    await becomes(inShop, false);
  });
});
