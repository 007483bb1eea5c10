// What does every cluster hold from the start? The default storage class, cluster DNS, and the right
// of kube-proxy to see Services.
import { corednsImage } from "../images/images.ts";
import type { ClusterNetwork } from "./network.ts";
import { storageClass } from "./volumes.ts";

const dnsLabels = { "k8s-app": "kube-dns" };

const corefile = `.:53 {
  errors
  health :8080
  ready :8181
  kubernetes cluster.local in-addr.arpa {
    pods insecure
    ttl 5
  }
  forward . /etc/resolv.conf
  cache 5
  loop
  reload
}
`;

function meta(name: string): object {
  return { name, namespace: "kube-system", labels: dnsLabels };
}

function dnsRights(): object[] {
  const rules = [
    {
      apiGroups: [""],
      resources: ["endpoints", "services", "pods", "namespaces"],
      verbs: ["list", "watch"],
    },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
  ];
  const rbac = "rbac.authorization.k8s.io";
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: meta("coredns") },
    { apiVersion: `${rbac}/v1`, kind: "ClusterRole", metadata: { name: "coredns" }, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name: "coredns" },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: "coredns" },
      subjects: [{ kind: "ServiceAccount", name: "coredns", namespace: "kube-system" }],
    },
  ];
}

function dnsContainer(): object {
  return {
    name: "coredns",
    image: corednsImage,
    args: ["-conf", "/etc/coredns/Corefile"],
    ports: [
      { name: "dns", containerPort: 53, protocol: "UDP" },
      { name: "dns-tcp", containerPort: 53, protocol: "TCP" },
    ],
    readinessProbe: { httpGet: { path: "/ready", port: 8181 }, periodSeconds: 1 },
    volumeMounts: [{ name: "config", mountPath: "/etc/coredns" }],
    resources: { requests: { cpu: "10m", memory: "32Mi" } },
  };
}

function dns(network: ClusterNetwork): object[] {
  const port = { port: 53, targetPort: 53 };
  return [
    ...dnsRights(),
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: meta("coredns"),
      data: { Corefile: corefile },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: meta("coredns"),
      spec: {
        replicas: 1,
        selector: { matchLabels: dnsLabels },
        template: {
          metadata: { labels: dnsLabels },
          spec: {
            serviceAccountName: "coredns",
            priorityClassName: "system-cluster-critical",
            dnsPolicy: "Default",
            containers: [dnsContainer()],
            volumes: [{ name: "config", configMap: { name: "coredns" } }],
          },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: meta("kube-dns"),
      spec: {
        clusterIP: network.dnsAddress,
        selector: dnsLabels,
        ports: [
          { ...port, name: "dns", protocol: "UDP" },
          { ...port, name: "dns-tcp", protocol: "TCP" },
        ],
      },
    },
  ];
}

/** The objects that a fresh cluster is given. */
export function addons(network: ClusterNetwork): object[] {
  return [
    {
      apiVersion: "storage.k8s.io/v1",
      kind: "StorageClass",
      metadata: {
        name: storageClass.name,
        annotations: { "storageclass.kubernetes.io/is-default-class": "true" },
      },
      provisioner: storageClass.provisioner,
      volumeBindingMode: "WaitForFirstConsumer",
      reclaimPolicy: "Delete",
    },
    ...dns(network),
  ];
}
