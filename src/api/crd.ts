// From our schemas to CustomResourceDefinitions: what the API server checks, prints and explains.

import type { z } from "zod";
import {
  bakeKind,
  builderKind,
  buildRunKind,
  clusterBuilderKind,
  group,
  type Kind,
  kinds,
  version,
} from "./kinds.ts";
import { cel, type Rule, rules, structural } from "./schema.ts";
import {
  BakeSpec,
  BakeStatus,
  BuilderSpec,
  BuilderStatus,
  BuildRunSpec,
  BuildRunStatus,
} from "./v1alpha1/index.ts";

/** A column of `kubectl get`. Columns of priority 1 are shown with `-o wide` only. */
interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly description: string;
  readonly priority?: 1;
}

interface Definition {
  readonly kind: Kind;
  readonly description: string;
  readonly spec: z.ZodType;
  readonly status: z.ZodType;
  readonly nameRule: Rule;
  readonly columns: readonly Column[];
  readonly selectable: readonly string[];
}

const age: Column = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "Time since it was created.",
};

function conditionColumn(name: string, type: string, part: string, priority?: 1): Column {
  return {
    name,
    type: "string",
    jsonPath: `.status.conditions[?(@.type=="${type}")].${part}`,
    description: `The ${part} of condition ${type}.`,
    ...(priority === undefined ? {} : { priority }),
  };
}

function column(name: string, path: string, description: string, priority?: 1): Column {
  const type = /(Instances|Runs|completed|failed|total)$/.test(path) ? "integer" : "string";
  const shared = { name, type, jsonPath: path, description } as const;
  return priority === undefined ? shared : { ...shared, priority };
}

const builderColumns: readonly Column[] = [
  column("Driver", ".status.driver", "Kubernetes or Remote."),
  conditionColumn("Ready", "Ready", "status"),
  column("Up", ".status.readyInstances", "Instances that take runs."),
  column("Instances", ".status.totalInstances", "Instances there should be."),
  column("Running", ".status.runningRuns", "Runs that build now."),
  column("Queued", ".status.queuedRuns", "Runs that wait."),
  column("Version", ".status.version", "Version of BuildKit."),
  conditionColumn("Message", "Ready", "message", 1),
  age,
];

const runColumns: readonly Column[] = [
  column("Phase", ".status.phase", "Where the run is in its life."),
  column("Builder", ".status.builder.name", "Where it builds."),
  column("Done", ".status.progress.completed", "Steps that are done."),
  column("Steps", ".status.progress.total", "Steps known so far."),
  conditionColumn("Reason", "Succeeded", "reason"),
  column("Digest", ".status.outputs[0].image.digest", "Digest of the first image.", 1),
  conditionColumn("Message", "Succeeded", "message", 1),
  age,
];

const bakeColumns: readonly Column[] = [
  column("Phase", ".status.phase", "Where the Bake is in its life."),
  column("Targets", ".status.progress.total", "Targets that are built."),
  column("Done", ".status.progress.completed", "Targets that are over."),
  column("Failed", ".status.progress.failed", "Targets that failed."),
  conditionColumn("Reason", "Succeeded", "reason"),
  conditionColumn("Message", "Succeeded", "message", 1),
  age,
];

// A Builder's name becomes a part of host names in certificates and of the names of pods, a
// BuildRun's the value of a label.
const builderName = cel(
  "self.metadata.name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && size(self.metadata.name) <= 40",
  "metadata.name must have at most 40 characters, lower-case letters, digits and '-' only, because pods and host names are made of it: choose a shorter name without '.'",
);

const runName = cel(
  "size(self.metadata.name) <= 63",
  "metadata.name must have at most 63 characters, because it becomes the value of a label: choose a shorter name",
);

const definitions: readonly Definition[] = [
  {
    kind: builderKind,
    description:
      "A Builder is a place where BuildKit runs, for the BuildRuns of its namespace: pods that Kiln makes, or a daemon that is there already.",
    spec: BuilderSpec,
    status: BuilderStatus,
    nameRule: builderName,
    columns: builderColumns,
    selectable: [],
  },
  {
    kind: clusterBuilderKind,
    description:
      "A ClusterBuilder is a place where BuildKit runs, for the BuildRuns of every namespace. Its pods and Secrets live in the namespace of Kiln.",
    spec: BuilderSpec,
    status: BuilderStatus,
    nameRule: builderName,
    columns: builderColumns,
    selectable: [],
  },
  {
    kind: buildRunKind,
    description:
      "A BuildRun is one build, run once. Its spec can not be changed after it was created, but for cancel and ttlAfterFinished; applying it again does not build again.",
    spec: BuildRunSpec,
    status: BuildRunStatus,
    nameRule: runName,
    columns: runColumns,
    selectable: [".spec.builderRef.name", ".status.phase"],
  },
  {
    kind: bakeKind,
    description:
      "A Bake builds targets of a Bake file, each by a BuildRun of its own. Its spec can not be changed after it was created, but for cancel and ttlAfterFinished; applying it again does not build again.",
    spec: BakeSpec,
    status: BakeStatus,
    nameRule: runName,
    columns: bakeColumns,
    selectable: [".status.phase"],
  },
];

/** A CustomResourceDefinition, ready to be applied or written as YAML. */
export interface CustomResourceDefinition {
  readonly apiVersion: "apiextensions.k8s.io/v1";
  readonly kind: "CustomResourceDefinition";
  readonly metadata: { readonly name: string };
  readonly spec: Record<string, unknown>;
}

/** The CRDs of all kinds, in the order of `kinds`. Pure: the same every time. */
export function customResourceDefinitions(): CustomResourceDefinition[] {
  return kinds.map((kind) => {
    const definition = definitions.find((candidate) => candidate.kind === kind);
    if (definition === undefined) throw new Error(`kind ${kind.kind} has no definition`);
    return crd(definition);
  });
}

function crd(definition: Definition): CustomResourceDefinition {
  const { kind, columns, selectable } = definition;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${kind.plural}.${group}` },
    spec: {
      group,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: kind.shortNames,
        categories: ["kiln"],
      },
      scope: kind.namespaced ? "Namespaced" : "Cluster",
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          ...(selectable.length === 0
            ? {}
            : { selectableFields: selectable.map((jsonPath) => ({ jsonPath })) }),
          schema: { openAPIV3Schema: root(definition) },
        },
      ],
    },
  };
}

function root({ description, spec, status, nameRule }: Definition): Record<string, unknown> {
  return {
    type: "object",
    description,
    required: ["spec"],
    properties: {
      apiVersion: { type: "string", description: `Version of the schema: ${group}/${version}.` },
      kind: { type: "string", description: "Kind of the object." },
      metadata: { type: "object" },
      spec: { description: "What is asked for.", ...structural(spec) },
      status: { description: "What Kiln has to say about it.", ...structural(status) },
    },
    ...rules(nameRule),
  };
}
