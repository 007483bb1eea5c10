// Which Secrets and ConfigMaps do the pods of a Builder use? Read from the rendered pod, so that fields,
// volumes and patches all count. Pure.

import type { Pod } from "../../kube/types.ts";
import { serverTlsSecret } from "../names.ts";

type PodSpec = NonNullable<Pod["spec"]>;
type Volume = NonNullable<PodSpec["volumes"]>[number];
type EnvSource = NonNullable<
  NonNullable<PodSpec["containers"][number]["env"]>[number]["valueFrom"]
>;

/** An object that the pods use. */
export interface Reference {
  readonly kind: "Secret" | "ConfigMap";
  readonly name: string;
  /** Which of its keys; undefined means all. */
  readonly keys: readonly string[] | undefined;
  /** Whether the pods start without it. */
  readonly optional: boolean;
}

/** One entry per object, sorted; Kiln's own certificate is not among them. */
export function references(spec: PodSpec): Reference[] {
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const found = [
    ...(spec.volumes ?? []).flatMap(ofVolume),
    ...containers.flatMap(({ env = [] }) =>
      env.flatMap(({ valueFrom }) => (valueFrom === undefined ? [] : ofEnv(valueFrom))),
    ),
    ...containers.flatMap(({ envFrom = [] }) =>
      envFrom.flatMap(({ secretRef, configMapRef }) => [
        ...one("Secret", secretRef?.name, undefined, secretRef?.optional),
        ...one("ConfigMap", configMapRef?.name, undefined, configMapRef?.optional),
      ]),
    ),
  ];
  const byObject = new Map<string, Reference>();
  for (const reference of found) {
    if (reference.kind === "Secret" && reference.name === serverTlsSecret) continue;
    const key = `${reference.kind}/${reference.name}`;
    byObject.set(key, both(byObject.get(key), reference));
  }
  return [...byObject].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, reference]) => reference);
}

function ofVolume({ secret, configMap, projected }: Volume): Reference[] {
  return [
    ...one("Secret", secret?.secretName, keysOf(secret?.items), secret?.optional),
    ...one("ConfigMap", configMap?.name, keysOf(configMap?.items), configMap?.optional),
    ...(projected?.sources ?? []).flatMap((source) => [
      ...one("Secret", source.secret?.name, keysOf(source.secret?.items), source.secret?.optional),
      ...one(
        "ConfigMap",
        source.configMap?.name,
        keysOf(source.configMap?.items),
        source.configMap?.optional,
      ),
    ]),
  ];
}

function ofEnv({ secretKeyRef: secret, configMapKeyRef: configMap }: EnvSource): Reference[] {
  return [
    ...one("Secret", secret?.name, secret && [secret.key], secret?.optional),
    ...one("ConfigMap", configMap?.name, configMap && [configMap.key], configMap?.optional),
  ];
}

function one(
  kind: Reference["kind"],
  name: string | undefined,
  keys: readonly string[] | undefined,
  optional: boolean | undefined,
): Reference[] {
  return name === undefined ? [] : [{ kind, name, keys, optional: optional ?? false }];
}

function keysOf(items: readonly { readonly key: string }[] | undefined): string[] | undefined {
  return items?.map(({ key }) => key);
}

/** What two uses of an object need of it. */
function both(a: Reference | undefined, b: Reference): Reference {
  if (a === undefined) return b;
  const keys =
    a.keys === undefined || b.keys === undefined
      ? undefined
      : [...new Set([...a.keys, ...b.keys])].sort();
  return { ...b, keys, optional: a.optional && b.optional };
}
