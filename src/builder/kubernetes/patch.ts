// What does a pod template look like with a person's strategic merge patch on it? Lists whose entries
// have an identity are merged by it, as `kubectl patch` does; all else is replaced (ADR 12). Pure.

/** A patch that cannot be applied; the message names the place. */
export class PatchError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "PatchError";
  }
}

/**
 * By the name of the list, what tells its entries apart: `patchMergeKey` of the fields below
 * PodTemplateSpec (k8s.io/api/core/v1/types.go of v1.34). Lists that are not here are replaced whole.
 */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: "name",
  initContainers: "name",
  volumes: "name",
  volumeMounts: "mountPath",
  volumeDevices: "devicePath",
  env: "name",
  ports: "containerPort",
  imagePullSecrets: "name",
  hostAliases: "ip",
  topologySpreadConstraints: "topologyKey",
  resourceClaims: "name",
  schedulingGates: "name",
};

/** Fields that hold one handler of several kinds: one that a person names takes the place of Kiln's. */
const handled = ["preStop", "postStart", "startupProbe", "livenessProbe", "readinessProbe"];
const handlers = ["exec", "grpc", "httpGet", "sleep", "tcpSocket"];

type Json = Readonly<Record<string, unknown>>;

/**
 * Refuses what would take the pods out of Kiln's hands: its marks, and the arguments that say where the
 * daemon listens. `container` is buildkitd's. Throws `PatchError`.
 */
export function guardPatch(patch: Json, container: string): void {
  refuseOthers(patch, ["metadata", "spec"], "podTemplatePatch");
  const metadata = objectAt(patch, "metadata", "podTemplatePatch");
  refuseOthers(metadata, ["labels", "annotations"], "podTemplatePatch.metadata");
  for (const marks of ["labels", "annotations"]) {
    const path = `podTemplatePatch.metadata`;
    for (const key of Object.keys(objectAt(metadata, marks, path))) {
      if (/^(kiln\.build|app\.kubernetes\.io)\//.test(key))
        throw new PatchError(`${path}.${marks}["${key}"] is Kiln's own`);
    }
  }
  const spec = objectAt(patch, "spec", "podTemplatePatch");
  for (const list of ["containers", "initContainers"]) {
    const entries = spec[list];
    for (const [index, one] of (Array.isArray(entries) ? entries : []).entries()) {
      if (isObject(one) && one["name"] === container)
        guardContainer(one, `podTemplatePatch.spec.${list}[${index}]`, container);
    }
  }
}

function guardContainer(one: Json, path: string, container: string): void {
  if (one["$patch"] !== undefined) throw new PatchError(`${path} would remove ${container}`);
  for (const field of ["args", "command"]) {
    if (one[field] !== undefined)
      throw new PatchError(`${path}.${field} is Kiln's own, use spec.buildkitd instead`);
  }
}

/**
 * The patch with its containers where the template has them: people write `containers`, and need not know
 * which of them Kiln starts as init containers that stay.
 */
export function placed(patch: Json, initContainers: readonly string[]): Json {
  const spec = objectAt(patch, "spec", "podTemplatePatch");
  const { containers, initContainers: init } = spec;
  if (!Array.isArray(containers)) return patch;
  const isInit = (one: unknown): boolean =>
    isObject(one) && initContainers.some((name) => name === one["name"]);
  const moved = containers.filter(isInit);
  if (moved.length === 0) return patch;
  return {
    ...patch,
    spec: {
      ...spec,
      containers: containers.filter((one) => !isInit(one)),
      initContainers: [...(Array.isArray(init) ? (init as unknown[]) : []), ...moved],
    },
  };
}

function refuseOthers(object: Json, known: readonly string[], path: string): void {
  const other = Object.keys(object).find((key) => !known.includes(key));
  if (other !== undefined)
    throw new PatchError(`${path}.${other} is not known: it takes ${known.join(" and ")} only`);
}

function objectAt(object: Json, key: string, path: string): Json {
  const value = object[key] ?? {};
  if (!isObject(value)) throw new PatchError(`${path}.${key} is no object`);
  return value;
}

/** `template` with `patch` on it; neither is changed. Throws `PatchError`. */
export function strategicMerge<T extends object>(template: T, patch: Json): T {
  return mergeObject(template as unknown as Json, patch, "podTemplatePatch") as unknown as T;
}

function mergeObject(base: Json, patch: Json, path: string): Json {
  const { $patch: directive, ...members } = patch;
  if (directive === "replace") return members;
  if (directive !== undefined)
    throw new PatchError(
      `${path}.$patch is ${JSON.stringify(directive)}: only replace, or delete in a list, is known`,
    );
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(members)) {
    const here = `${path}.${name}`;
    if (name.startsWith("$"))
      throw new PatchError(`${here} is not known: write the list whole instead`);
    if (value === null) delete result[name];
    else result[name] = mergeValue(name, result[name], value, here);
  }
  return result;
}

function mergeValue(name: string, base: unknown, patch: unknown, path: string): unknown {
  if (Array.isArray(patch)) {
    const key = mergeKeys[name];
    const old = Array.isArray(base) ? (base as readonly unknown[]) : [];
    return key === undefined ? patch : mergeList({ old, key, path }, patch);
  }
  if (!isObject(patch)) return patch;
  const before = isObject(base) ? base : {};
  return mergeObject(handled.includes(name) ? withoutHandler(before, patch) : before, patch, path);
}

function withoutHandler(base: Json, patch: Json): Json {
  const named = handlers.some((kind) => isObject(patch[kind]));
  const isKept = ([key]: [string, unknown]): boolean =>
    !handlers.includes(key) || patch[key] !== undefined;
  return named ? Object.fromEntries(Object.entries(base).filter(isKept)) : base;
}

interface List {
  readonly old: readonly unknown[];
  readonly key: string;
  readonly path: string;
}

/** Entries keep their places, new ones come last. */
function mergeList({ old, key, path }: List, patch: readonly unknown[]): unknown[] {
  let result = [...old];
  for (const [index, entry] of patch.entries()) {
    const here = `${path}[${index}]`;
    if (!isObject(entry)) throw new PatchError(`${here} is no object`);
    if (entry["$patch"] === "replace" && entry[key] === undefined) {
      result = [];
      continue;
    }
    const id = entry[key];
    if (id === undefined) throw new PatchError(`${here} has no ${key}, by which it is found`);
    const at = result.findIndex((one) => isObject(one) && one[key] === id);
    if (entry["$patch"] === "delete") {
      if (at >= 0) result.splice(at, 1);
      continue;
    }
    const before = result[at];
    const merged = mergeObject(isObject(before) ? before : {}, entry, here);
    if (at < 0) result.push(merged);
    else result[at] = merged;
  }
  return result;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
