// Who may reach a Builder's pods, by what name, and who may evict them? A headless Service (StatefulSets
// want one), a NetworkPolicy that lets in Kiln's own pods only, and a budget while builds run. Pure.

import type { NetworkPolicy, PodDisruptionBudget, Secret, Service } from "../../kube/types.ts";
import type { OwnerReference } from "../../kube/object.ts";
import {
  agentPort,
  manager,
  managedByLabel,
  selectorLabels,
  serverTlsSecret,
  workloadName,
} from "../names.ts";
import { labelsOf, type RenderInput } from "./input.ts";

/** Labels of the pods that may dial an agent; the Helm chart puts them on the controller's. */
export const dialerLabels = { "app.kubernetes.io/name": "kiln" } as const;

/** Headless; also of pods that are not Ready, since Kiln itself judges who is. */
export function service(input: RenderInput): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(input),
    spec: {
      clusterIP: "None",
      publishNotReadyAddresses: true,
      selector: selectorLabels(input.ref, input.node),
      ports: [{ name: "agent", port: agentPort, targetPort: "agent", protocol: "TCP" }],
    },
  } as unknown as Service;
}

/** Egress stays open: builds fetch from anywhere. */
export function networkPolicy(input: RenderInput): NetworkPolicy {
  const kilnNamespace = { "kubernetes.io/metadata.name": input.kilnNamespace };
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: metadata(input),
    spec: {
      podSelector: { matchLabels: selectorLabels(input.ref, input.node) },
      policyTypes: ["Ingress"],
      ingress: [
        {
          from: [
            {
              namespaceSelector: { matchLabels: kilnNamespace },
              podSelector: { matchLabels: { ...dialerLabels } },
            },
          ],
          ports: [{ port: agentPort, protocol: "TCP" }],
        },
      ],
    },
  } as unknown as NetworkPolicy;
}

/**
 * Keeps evictions (node drains, cluster autoscalers) away while builds run; there only as long as they do.
 * A pod that is not Ready does not count: nothing is lost with it.
 */
export function disruptionBudget(input: RenderInput): PodDisruptionBudget {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: metadata(input),
    spec: {
      maxUnavailable: 0,
      selector: { matchLabels: selectorLabels(input.ref, input.node) },
      unhealthyPodEvictionPolicy: "AlwaysAllow",
    },
  } as unknown as PodDisruptionBudget;
}

/** PEM texts of a server's identity and of those it trusts. */
export interface ServerCertificate {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/**
 * The Secret that all Builders of a namespace share. Each of them is an owner (none the controller), so
 * that garbage collection removes it with the last.
 */
export function serverSecret(
  namespace: string,
  tls: ServerCertificate,
  owners: readonly OwnerReference[],
): Secret {
  const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: serverTlsSecret,
      namespace,
      labels: { [managedByLabel]: manager },
      ownerReferences: owners.map(({ apiVersion, kind, name, uid }) => ({
        apiVersion,
        kind,
        name,
        uid,
      })),
    },
    type: "kubernetes.io/tls",
    data: {
      "ca.crt": base64(tls.ca),
      "tls.crt": base64(tls.certificate),
      "tls.key": base64(tls.key),
    },
  } as Secret;
}

function metadata(input: RenderInput) {
  return {
    name: workloadName(input.ref, input.node),
    namespace: input.namespace,
    labels: labelsOf(input),
    ...(input.driver.annotations === undefined ? {} : { annotations: input.driver.annotations }),
    ownerReferences: [input.owner],
  };
}
