// `--set target.key=value` of docker buildx bake: what each key changes in a target. Pure.
// Rules: newOverrides and AddOverrides of bake/bake.go, buildx v0.38.2.

import { goBoolean } from "../../buildrun/plan/csv.ts";
import type { BakeFile, BakeTarget } from "./document.ts";
import { attestOf, cacheOf, type Entry, isLoaded, outputOf, secretOf, sshOf } from "./entry.ts";
import { isPattern, matcher } from "./glob.ts";
import { refused } from "./refusal.ts";

type Mutable = { -readonly [K in keyof BakeTarget]: BakeTarget[K] };

/** All overrides of one key for one target, in the order in which they were written. */
interface Override {
  readonly key: string;
  readonly name: string;
  /** For keys that hold lists: what was given. Empty: the list is cleared. */
  readonly values: readonly string[];
  readonly value: string;
  readonly append: boolean;
}

const aliases: Readonly<Record<string, string>> = {
  ...{ annotations: "annotation", args: "arg", entitlements: "entitlement", secrets: "secret" },
  ...{ "extra-hosts": "extra-host", labels: "label", platforms: "platform", tags: "tag" },
  ...{ resources: "resource", ulimits: "ulimit" },
};

function wrong(written: string, why: string): Error {
  return refused("OverrideInvalid", `The override "${written.slice(0, 200)}" ${why}.`);
}

function yesNo(value: string): boolean {
  const read = goBoolean(value);
  if (read === undefined) throw new Error(`must be true or false, not "${value}"`);
  return read;
}

type Change = (target: Mutable, override: Override) => void;

type TextKey = "context" | "dockerfile" | "target" | "call" | "shmSize";
type ListKey = "tags" | "platforms" | "noCacheFilter" | "ulimits";
type EntryKey = "cacheFrom" | "cacheTo" | "output" | "secret" | "attest";
type MapKey = "args" | "labels" | "contexts" | "extraHosts" | "resources";

function text(key: TextKey): Change {
  return (target, { value }) => {
    target[key] = value;
  };
}

function list(key: ListKey): Change {
  return (target, { values, append }) => {
    target[key] = append ? [...target[key], ...values] : [...values];
  };
}

/** Only emptied by an empty value, else always added to. */
function grown(key: "annotations" | "entitlements"): Change {
  return (target, { values, append }) => {
    target[key] = [...(values.length === 0 && !append ? [] : target[key]), ...values];
  };
}

function map(key: MapKey): Change {
  return (target, { name, value }) => {
    if (name === "") throw new Error("needs a name: target.key.name=value");
    target[key] = { ...target[key], [name]: value };
  };
}

function parsed(key: EntryKey, read: (line: string) => Entry, identity?: string): Change {
  return (target, { values, append }) => {
    const before = append ? target[key] : [];
    target[key] = withoutDoubles([...before, ...values.map(read)], identity);
  };
}

/** The last of two with one identity holds, in the place of the first. */
function withoutDoubles(entries: readonly Entry[], identity: string | undefined): Entry[] {
  const keyOf = (entry: Entry): string =>
    identity === undefined
      ? JSON.stringify(Object.entries(entry).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : (entry[identity] ?? "");
  return [...new Map(entries.map((entry) => [keyOf(entry), entry])).values()];
}

const secret: Change = (target, override) => {
  const { name, value } = override;
  if (name === "") return parsed("secret", secretOf, "id")(target, override);
  const index = target.secret.findIndex(({ id }) => id === name);
  if (index < 0) throw new Error(`names the secret "${name}", which the target does not have`);
  const next = secretOf(value);
  if (next["id"] !== undefined && next["id"] !== name)
    throw new Error(`must not change the id "${name}"`);
  target.secret = target.secret.with(index, { ...next, id: name });
};

const attest: Change = (target, { values, append }) => {
  const before = values.length === 0 && !append ? [] : target.attest;
  target.attest = withoutDoubles([...before, ...values.map(attestOf)], "type");
};

const ssh: Change = (target, { values, append }) => {
  const entries = [...(append ? target.ssh : []), ...values.map(sshOf)];
  target.ssh = [...new Map(entries.map((entry) => [entry.id, entry])).values()];
};

/** As `--push`: images are pushed; a target without outputs gets one. */
function pushed(output: readonly Entry[], on: boolean): Entry[] {
  if (!on)
    return output
      .filter(({ type }) => type !== "registry")
      .map((entry) => (entry["type"] === "image" ? { ...entry, push: "false" } : entry));
  const all = output.map((entry) =>
    entry["type"] === "image" ? { ...entry, push: "true" } : entry,
  );
  const isElsewhere = all.some(({ type }) => type !== "docker");
  return isElsewhere ? all : [...all, { type: "image", push: "true" }];
}

/** Kinds beside which a result is loaded, too; a target of any other has its place. */
const besideLoaded: ReadonlySet<string> = new Set(["image", "registry", "oci", "docker"]);

/** As `--load`: a target without another place gets the engine. */
function loaded(output: readonly Entry[]): readonly Entry[] {
  const isElsewhere = output.some(({ type = "" }) => !besideLoaded.has(type));
  return isElsewhere || output.some(isLoaded) ? output : [...output, { type: "docker" }];
}

const changes: Readonly<Record<string, Change>> = {
  context: text("context"),
  dockerfile: text("dockerfile"),
  target: text("target"),
  call: text("call"),
  network: (target, { value }) => {
    // `--print` has added the right that the network of the host implies.
    const implied = target.network === "host" && value !== "host" ? "network.host" : "";
    target.network = value;
    target.entitlements = target.entitlements.filter((right) => right !== implied);
  },
  "shm-size": text("shmSize"),
  tag: list("tags"),
  platform: list("platforms"),
  "no-cache-filter": list("noCacheFilter"),
  ulimit: list("ulimits"),
  annotation: grown("annotations"),
  entitlement: grown("entitlements"),
  arg: map("args"),
  label: map("labels"),
  contexts: (target, override) => {
    map("contexts")(target, override);
    const named = Object.entries(target.contexts).filter(([, value]) => value !== "");
    target.contexts = Object.fromEntries(named);
  },
  "extra-host": map("extraHosts"),
  resource: map("resources"),
  "cache-from": parsed("cacheFrom", cacheOf),
  "cache-to": parsed("cacheTo", cacheOf),
  output: parsed("output", outputOf),
  secret,
  attest,
  ssh,
  pull: (target, { value }) => {
    target.pull = yesNo(value);
  },
  "no-cache": (target, { value }) => {
    target.noCache = yesNo(value);
  },
  push: (target, { value }) => {
    target.output = pushed(target.output, yesNo(value));
  },
  load: (target, { value }) => {
    if (yesNo(value)) target.output = loaded(target.output);
  },
  policy: (target, { values, append }) => {
    target.policies = (append ? target.policies : 0) + values.length;
  },
};

const named: ReadonlySet<string> = new Set([
  ...["arg", "label", "contexts", "extra-host", "resource", "secret"],
]);

interface Written extends Override {
  readonly pattern: string;
  readonly written: string;
}

function readOverride(written: string): Written {
  const [, left = "", plus, value = ""] = /^([^=]*?)(\+)?=([\s\S]*)$/.exec(written) ?? [];
  const [pattern = "", word = "", ...rest] = left.split(".");
  const key = aliases[word] ?? word;
  if (pattern === "" || word === "") throw wrong(written, "must be written target.key=value");
  if (changes[key] === undefined) throw wrong(written, `names "${word}", which can not be set`);
  if (rest.length > 0 && !named.has(key))
    throw wrong(written, `must have no name behind "${word}"`);
  const append = plus !== undefined;
  const values = value === "" && !append ? [] : [value];
  return { pattern, key, name: rest.join("."), values, value, append, written };
}

/** Which targets an override is for. */
function targetsOf({ pattern, written }: Written, names: readonly string[]): readonly string[] {
  if (names.includes(pattern)) return [pattern];
  const found = isPattern(pattern) ? names.filter(matcher(pattern)) : [];
  if (found.length === 0) throw wrong(written, `fits no target; there are ${names.join(", ")}`);
  return found;
}

/** Several of one key are one: lists add up, of others the last holds. */
function together(before: Written | undefined, next: Written): Written {
  if (before === undefined) return next;
  const isCleared = !next.append && next.value === "";
  return { ...next, values: isCleared ? [] : [...before.values, ...next.values] };
}

/** The file with the overrides in its targets. Throws `KilnError` `OverrideInvalid` that has the override. */
export function overridden(file: BakeFile, set: readonly string[]): BakeFile {
  const names = [...file.targets.keys()];
  const all = new Map<string, Map<string, Written>>();
  for (const override of set.map(readOverride)) {
    for (const name of targetsOf(override, names)) {
      const own = all.get(name) ?? new Map<string, Written>();
      const key = `${override.key}.${override.name}`;
      own.set(key, together(own.get(key), override));
      all.set(name, own);
    }
  }
  const targets = [...file.targets].map(([name, target]): [string, BakeTarget] => {
    const changed: Mutable = { ...target };
    for (const override of all.get(name)?.values() ?? []) apply(changed, override);
    return [name, changed];
  });
  return { ...file, targets: new Map(targets) };
}

function apply(target: Mutable, override: Written): void {
  try {
    changes[override.key]?.(target, override);
  } catch (error) {
    throw wrong(override.written, (error as Error).message.replace(/\.$/, ""));
  }
}
