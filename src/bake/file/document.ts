// A Bake file, read: the JSON that `docker buildx bake --print` writes. What needs evaluating, such as variables,
// functions, inheritance and matrices, is refused: buildx does that before it prints. Pure.

import { z } from "zod";
import {
  attestOf,
  cacheOf,
  type Entry,
  outputOf,
  secretOf,
  type SshEntry,
  sshOf,
} from "./entry.ts";
import { refused } from "./refusal.ts";

/** A target, with what `--print` always writes filled in. Names of fields: bake/bake.go, buildx v0.38.2. */
export interface BakeTarget {
  readonly context: string;
  readonly dockerfile: string;
  readonly dockerfileInline?: string;
  readonly target?: string;
  readonly call?: string;
  readonly network?: string;
  readonly shmSize?: string;
  readonly pull: boolean;
  readonly noCache: boolean;
  readonly noCacheFilter: readonly string[];
  readonly args: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly contexts: Readonly<Record<string, string>>;
  readonly extraHosts: Readonly<Record<string, string>>;
  readonly resources: Readonly<Record<string, string>>;
  readonly annotations: readonly string[];
  readonly tags: readonly string[];
  readonly platforms: readonly string[];
  readonly ulimits: readonly string[];
  readonly entitlements: readonly string[];
  readonly attest: readonly Entry[];
  readonly cacheFrom: readonly Entry[];
  readonly cacheTo: readonly Entry[];
  readonly output: readonly Entry[];
  readonly secret: readonly Entry[];
  readonly ssh: readonly SshEntry[];
  /** How many policies it has; what they say is not read. */
  readonly policies: number;
}

/** A file, read. */
export interface BakeFile {
  readonly groups: ReadonlyMap<string, readonly string[]>;
  readonly targets: ReadonlyMap<string, BakeTarget>;
}

const printFirst = "let `docker buildx bake --print` evaluate the file, and use what it writes";

/** A text in which `--print` has escaped what HCL would evaluate; `${` that is not escaped was never evaluated. */
const Escaped = z.string().transform((value, context) => {
  const plain = value.replaceAll(/\$\$\{|%%\{|\$\{|%\{/g, (found) => {
    if (found.length === 3) return found.slice(1);
    context.addIssue(`has "${found}", which is not evaluated: ${printFirst}`);
    return found;
  });
  return plain;
});

const Plain = z.string().refine((value) => !/\$\{|%\{/.test(value), {
  message: `has "\${" or "%{", which is not evaluated: ${printFirst}`,
});

type Scalar = string | number | boolean;
const Scalar = z.union([z.string(), z.number(), z.boolean()]);

function texts(map: Readonly<Record<string, Scalar | null>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(map).flatMap(([key, value]) => (value === null ? [] : [[key, String(value)]])),
  );
}

/** Entries as objects or lines. */
function entries<T>(ofLine: (line: string) => T, ofObject: (entry: Entry) => T) {
  return z
    .array(z.union([z.string(), z.record(z.string(), Scalar)]))
    .transform((list, context) =>
      list.map((one) => {
        try {
          return typeof one === "string" ? ofLine(one) : ofObject(texts(one));
        } catch (error) {
          context.addIssue((error as Error).message);
          return z.NEVER;
        }
      }),
    )
    .default([]);
}

function typed(entry: Entry): Entry {
  if (entry["type"] === undefined) throw new Error("has an entry without a type");
  return entry;
}

const Ssh = z
  .array(
    z.union([
      z.string().transform(sshOf),
      z.strictObject({ id: z.string().default("default"), paths: z.array(z.string()).default([]) }),
    ]),
  )
  .default([]);

function mapOf(value: typeof Plain | typeof Escaped) {
  return z
    .record(z.string(), value.nullable())
    .transform((map) => texts(map))
    .default({});
}

const List = z.array(Plain).default([]);

const Target = z
  .strictObject({
    description: z.string().optional(),
    context: Plain.default("."),
    dockerfile: Plain.default("Dockerfile"),
    "dockerfile-inline": Escaped.optional(),
    target: Plain.optional(),
    call: Plain.optional(),
    network: Plain.optional(),
    "shm-size": z.union([Plain, z.number().transform(String)]).optional(),
    pull: z.boolean().default(false),
    "no-cache": z.boolean().default(false),
    "no-cache-filter": List,
    args: mapOf(Escaped),
    labels: mapOf(Escaped),
    contexts: mapOf(Plain),
    "extra-hosts": mapOf(Escaped),
    resources: z.record(z.string(), Scalar).transform(texts).default({}),
    annotations: z.array(Escaped).default([]),
    tags: List,
    platforms: List,
    ulimits: List,
    entitlements: List,
    attest: entries(attestOf, typed),
    "cache-from": entries(cacheOf, typed),
    "cache-to": entries(cacheOf, typed),
    output: entries(outputOf, typed),
    secret: entries(secretOf, (entry) => entry),
    ssh: Ssh,
    policy: z.array(z.unknown()).default([]),
  })
  .transform((raw): BakeTarget => {
    const { "dockerfile-inline": inline, "shm-size": shmSize, target, call, network } = raw;
    return {
      ...{ context: raw.context, dockerfile: raw.dockerfile || "Dockerfile", pull: raw.pull },
      ...(inline === undefined ? {} : { dockerfileInline: inline }),
      ...(target === undefined ? {} : { target }),
      ...(call === undefined ? {} : { call }),
      ...(network === undefined ? {} : { network }),
      ...(shmSize === undefined ? {} : { shmSize }),
      ...{ noCache: raw["no-cache"], noCacheFilter: raw["no-cache-filter"], args: raw.args },
      ...{ labels: raw.labels, contexts: raw.contexts, extraHosts: raw["extra-hosts"] },
      ...{ resources: raw.resources, annotations: raw.annotations, tags: raw.tags },
      ...{ platforms: raw.platforms, ulimits: raw.ulimits, entitlements: raw.entitlements },
      ...{ attest: raw.attest, cacheFrom: raw["cache-from"], cacheTo: raw["cache-to"] },
      ...{ output: raw.output, secret: raw.secret, ssh: raw.ssh, policies: raw.policy.length },
    };
  });

const maxName = 128;

/** The targets by their names, which become names and labels of BuildRuns. Names: validateTargetName of buildx. */
const Targets = z.record(z.string(), Target).superRefine((targets, context) => {
  for (const name of Object.keys(targets)) {
    if (name.length <= maxName && /^[A-Za-z0-9_-]+$/.test(name)) continue;
    const message = `is no name of a target: it has at most ${maxName} characters, letters, digits and any of - _`;
    context.addIssue({ code: "custom", path: [name.slice(0, maxName)], message });
  }
});

const Document = z.strictObject({
  group: z
    .record(
      z.string(),
      z.strictObject({ description: z.string().optional(), targets: z.array(z.string()) }),
    )
    .default({}),
  target: Targets,
});

const evaluated: ReadonlySet<string> = new Set([
  ...["variable", "function", "inherits", "matrix", "name"],
]);

/** Reads a file. Throws `KilnError` `BakeFileInvalid` that names the field. */
export function readBakeFile(document: unknown): BakeFile {
  const read = Document.safeParse(document);
  if (!read.success) throw invalid(read.error.issues[0]);
  const { group, target } = read.data;
  return {
    groups: new Map(Object.entries(group).map(([name, { targets }]) => [name, targets])),
    targets: new Map(Object.entries(target)),
  };
}

/** Reads a file that is a text. Throws `KilnError` `BakeFileInvalid`. */
export function readBakeText(text: string): BakeFile {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    const why = `is no JSON (${(error as Error).message.slice(0, 200)})`;
    throw refused("BakeFileInvalid", `The Bake file ${why}: ${printFirst}.`);
  }
  return readBakeFile(document);
}

function invalid(issue: z.core.$ZodIssue | undefined): Error {
  const path = (issue?.path ?? []).map(String).join(".");
  const at = path === "" ? "The Bake file" : `${path} of the Bake file`;
  if (issue?.code !== "unrecognized_keys")
    return refused(
      "BakeFileInvalid",
      `${at}: ${(issue?.message ?? "is not valid").slice(0, 400)}.`,
    );
  const [key = ""] = issue.keys;
  const why = evaluated.has(key)
    ? `has "${key}", which needs evaluating: ${printFirst}`
    : `has "${key}", which is no field of a Bake file in JSON`;
  return refused("BakeFileInvalid", `${at} ${why}.`);
}
