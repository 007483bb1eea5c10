// What every Kubernetes object has, as the API server sends it (times are strings), and the small
// views on it that everybody needs: its key, its reference, its owner reference.

/** `metadata.ownerReferences[]`. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean | undefined;
  readonly blockOwnerDeletion?: boolean | undefined;
}

/** `metadata` as far as Kiln reads it. Timestamps are RFC 3339. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly generation?: number | undefined;
  readonly creationTimestamp?: string | undefined;
  readonly deletionTimestamp?: string | undefined;
  readonly finalizers?: readonly string[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly ownerReferences?: readonly OwnerReference[] | undefined;
}

/** Any Kubernetes object. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

/** Where an object is. */
export interface ObjectPlace {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** The queue and cache key: `namespace/name`, or `name` of a cluster-scoped object. */
export function keyOf(at: ObjectPlace): string {
  return at.namespace === undefined || at.namespace === "" ? at.name : `${at.namespace}/${at.name}`;
}

/** The finalizers of an object with `name` among them, or without it; undefined when they are so already. */
export function changedFinalizers(
  { metadata: { finalizers = [] } }: { readonly metadata: Pick<ObjectMeta, "finalizers"> },
  name: string,
  wanted: boolean,
): readonly string[] | undefined {
  if (finalizers.includes(name) === wanted) return undefined;
  return wanted ? [...finalizers, name] : finalizers.filter((one) => one !== name);
}

/** The place that `keyOf` made `key` of. */
export function placeOf(key: string): ObjectPlace {
  const slash = key.indexOf("/");
  if (slash < 0) return { name: key };
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/**
 * The reference that makes `owner` the controller of a dependent, so that garbage collection removes
 * the dependent with it. Throws when `owner` was never stored (no uid). The dependent has to be in the
 * same namespace, or the owner cluster-scoped: the API server deletes it at once otherwise.
 */
export function controlledBy(owner: KubeObject): OwnerReference {
  if (owner.metadata.uid === undefined) {
    throw new Error(`${owner.kind} ${keyOf(owner.metadata)} has no uid: it is not stored yet`);
  }
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** The reference to the object's controller, if it has one. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((owner) => owner.controller === true);
}

/** Whether `owner` (this very one, by uid) controls `object`. */
export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  return owner.metadata.uid !== undefined && controllerOf(object)?.uid === owner.metadata.uid;
}

/** Whether the object is on its way out and only waits for finalizers or a grace period. */
export function isTerminating(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}
