// Paths, queries and bodies of the Kubernetes REST interface. Pure.

import type { Applied, ListQuery, Page } from "../client.ts";
import type { KubeObject, ObjectPlace } from "../object.ts";
import type { ResourceType } from "../types.ts";

/** Query parameters; undefined ones are left out. */
export type Params = Readonly<Record<string, string | number | boolean | undefined>>;

/** `?a=b`, or nothing. */
export function search(params: Params): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) query.set(name, String(value));
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** The path of all objects of a type, in one namespace or in all. */
export function collectionPath(type: ResourceType, namespace: string | undefined): string {
  const root = type.apiVersion.includes("/") ? "/apis" : "/api";
  const within =
    type.namespaced && namespace !== undefined
      ? `/namespaces/${encodeURIComponent(namespace)}`
      : "";
  return `${root}/${type.apiVersion}${within}/${type.plural}`;
}

/** The path of one object. Throws when the name, or a namespace that the type needs, is missing. */
export function objectPath(type: ResourceType, at: ObjectPlace): string {
  if (at.name === "") throw new Error(`a ${type.kind} needs a name`);
  return `${parentPath(type, at)}/${encodeURIComponent(at.name)}`;
}

/** The path that an object is created at. Throws when a namespace that the type needs is missing. */
export function parentPath(type: ResourceType, at: ObjectPlace): string {
  if (type.namespaced && (at.namespace === undefined || at.namespace === "")) {
    throw new Error(`${type.kind} ${at.name} needs a namespace`);
  }
  return collectionPath(type, at.namespace);
}

/** The selectors of a list or watch. */
export function selectors(query: ListQuery): Params {
  return { labelSelector: query.labelSelector, fieldSelector: query.fieldSelector };
}

/**
 * The body that says what Kiln wants of an object. Server-set metadata is left out, so that a cached
 * object may be given; `uid` and `resourceVersion` stay: they are preconditions.
 */
export function wireOf<T extends KubeObject>(type: ResourceType<T>, object: Applied<T>): unknown {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  const { labels, annotations, ownerReferences, finalizers } = object.metadata;
  return {
    ...object,
    apiVersion: type.apiVersion,
    kind: type.kind,
    metadata: {
      name,
      namespace,
      uid,
      resourceVersion,
      labels,
      annotations,
      ownerReferences,
      finalizers,
    },
  };
}

/** A list answer as a page; items of built-in kinds come without apiVersion and kind. Throws when it is not a list. */
export function pageOf<T extends KubeObject>(type: ResourceType<T>, body: unknown): Page<T> {
  if (!isList(body)) throw new Error(`the answer to list ${type.plural} is not a list`);
  const { apiVersion, kind } = type;
  return {
    items: (body.items ?? []).map((item) => ({ ...item, apiVersion, kind }) as T),
    resourceVersion: body.metadata.resourceVersion ?? "",
    next: body.metadata.continue === "" ? undefined : body.metadata.continue,
  };
}

interface ListBody {
  readonly metadata: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly object[] | null;
}

function isList(body: unknown): body is ListBody {
  return (
    typeof body === "object" &&
    body !== null &&
    "metadata" in body &&
    typeof body.metadata === "object" &&
    body.metadata !== null &&
    (!("items" in body) || body.items === null || Array.isArray(body.items))
  );
}
