// What a run asks of BuildKit: spec → plan. Pure and printable: a plan holds names of Secrets, never what is in them.

import type { BuildRun, BuildRunSpec } from "../../api/v1alpha1/index.ts";
import type { SolveRequest } from "../../buildkit/index.ts";
import { claimNames } from "../places/of-output.ts";
import { attestAttrs } from "./attest-attrs.ts";
import { cacheMountNamespace, cachePlan } from "./caches.ts";
import {
  contextDockerfile,
  type ContextPlan,
  mainContext,
  merged,
  namedContexts,
} from "./contexts.ts";
import type { Needs, ValueNeed } from "./needs.ts";
import { exporters, outputLogins } from "./outputs.ts";
import { ruleOf } from "./source-rules.ts";
import { entitlements, stepAttrs } from "./step-attrs.ts";

/** A run's solve request, without the ref that each attempt adds, and what it needs. */
export interface SolvePlan {
  readonly request: Omit<SolveRequest, "ref">;
  readonly needs: Needs;
}

const inlineName = "Dockerfile";

function dockerfilePlan(spec: BuildRunSpec): Pick<ContextPlan, "attrs" | "trees"> {
  const { inline, path, configMap, buildContext } = spec.dockerfile;
  if (buildContext !== undefined) return contextDockerfile(spec, buildContext);
  if (configMap !== undefined)
    return {
      attrs: { filename: configMap.key, dockerfilekey: "dockerfile" },
      trees: { dockerfile: { kind: "configMap", name: configMap.name } },
    };
  if (inline === undefined) return { attrs: { filename: path ?? inlineName }, trees: {} };
  return {
    attrs: { filename: inlineName, dockerfilekey: "dockerfile" },
    trees: { dockerfile: { kind: "inline", file: inlineName, text: inline } },
  };
}

function prefixed(
  prefix: string,
  entries: Iterable<readonly [string, string]>,
): Record<string, string> {
  return Object.fromEntries([...entries].map(([name, value]) => [`${prefix}:${name}`, value]));
}

function optionAttrs(spec: BuildRunSpec): Record<string, string> {
  return {
    ...(spec.target === undefined ? {} : { target: spec.target }),
    ...(spec.platforms.length === 0 ? {} : { platform: spec.platforms.join(",") }),
    ...(spec.noCache ? { "no-cache": "" } : {}),
    ...(spec.noCacheFilter.length === 0 ? {} : { "no-cache": spec.noCacheFilter.join(",") }),
    ...(spec.pull ? { "image-resolve-mode": "pull" } : {}),
    ...prefixed("label", Object.entries(spec.labels)),
    ...prefixed(
      "build-arg",
      spec.buildArgs.flatMap(({ name, value, valueFrom }) =>
        valueFrom === undefined ? [[name, value] as const] : [],
      ),
    ),
  };
}

/** Says that the build is a question; a frontend that does not know such a thing must refuse it instead of building. */
const questionCap = "moby.buildkit.frontend.subrequests+forward";

/** The question that a run asks of the frontend instead of building; buildx says check for lint, too. */
function questionAttrs({ call }: BuildRunSpec): Record<string, string> {
  if (call === undefined) return {};
  return { requestid: `frontend.${call === "check" ? "lint" : call}` };
}

function capsAttr(caps: readonly string[]): Record<string, string> {
  return caps.length === 0 ? {} : { "frontend.caps": [...new Set(caps)].toSorted().join(",") };
}

/** BuildKit's own frontend for Dockerfiles, or the image that the run names. */
function frontendPlan({
  frontend,
}: BuildRunSpec): Pick<SolveRequest, "frontend" | "frontendAttrs"> {
  if (frontend === undefined) return { frontend: "dockerfile.v0", frontendAttrs: {} };
  const { image, options } = frontend;
  // Without cmdline a frontend for Dockerfiles hands the build on to the one that a `# syntax=` line names.
  return { frontend: "gateway.v0", frontendAttrs: { ...options, source: image, cmdline: image } };
}

/** What the run says of sources, then what Kiln itself needs: of two that fit, the last holds. */
function sourcePolicy(spec: BuildRunSpec, { rules: own }: ContextPlan): Partial<SolveRequest> {
  const rules = [...(spec.sourcePolicy?.rules ?? []).map(ruleOf), ...own];
  return rules.length === 0 ? {} : { sourcePolicy: { rules } };
}

/** Attributes whose values are kept in the cluster. */
function valueNeeds({ buildArgs, labelsFrom, frontend }: BuildRunSpec): ValueNeed[] {
  const args = buildArgs.flatMap(({ name, valueFrom }): ValueNeed[] => {
    const attr = `build-arg:${name}`;
    const { configMapKeyRef, secretKeyRef } = valueFrom ?? {};
    if (configMapKeyRef !== undefined) return [{ attr, kind: "configMap", ...configMapKeyRef }];
    return secretKeyRef === undefined ? [] : [{ attr, kind: "secret", ...secretKeyRef }];
  });
  const plain = [
    ...labelsFrom.map(({ name, valueFrom }) => ({ attr: `label:${name}`, valueFrom })),
    ...(frontend?.optionsFrom ?? []).map(({ name, valueFrom }) => ({ attr: name, valueFrom })),
  ];
  return [
    ...args,
    ...plain.map(({ attr, valueFrom: { configMapKeyRef } }): ValueNeed => {
      return { attr, kind: "configMap", ...configMapKeyRef };
    }),
  ];
}

function needsOf(
  spec: BuildRunSpec,
  { gits, archives, runs, trees }: ContextPlan,
): Omit<Needs, "hidden"> {
  return {
    secrets: spec.secrets.map(({ id, secretKeyRef: { name, key } }) => ({ id, name, key })),
    ssh: spec.ssh.map(({ id, secretRef: { name } }) => ({ id, name })),
    gits,
    archives,
    runs,
    claims: claimNames({ spec }),
    values: valueNeeds(spec),
    registryCredentials: spec.registryCredentials.map(({ secretRef }) => secretRef.name),
    trees,
  };
}

/**
 * The plan of a run. The same spec gives the same plan, byte for byte. Throws `KilnError` of class `User` for what the
 * API server could not refuse: the message names the field.
 */
export function planOf(run: BuildRun): SolvePlan {
  const { spec } = run;
  const { frontend, frontendAttrs } = frontendPlan(spec);
  const sources = merged([
    mainContext(spec),
    { ...dockerfilePlan(spec), gits: [], archives: [], runs: [], rules: [], caps: [] },
    namedContexts(spec),
  ]);
  const rights = entitlements(spec);
  const namespace = run.metadata.namespace ?? "";
  const caches = cachePlan(spec, namespace);
  const isQuestion = spec.call !== undefined;
  return {
    request: {
      frontend,
      frontendAttrs: {
        ...frontendAttrs,
        ...sources.attrs,
        ...capsAttr([...sources.caps, ...(isQuestion ? [questionCap] : [])]),
        ...optionAttrs(spec),
        ...questionAttrs(spec),
        ...stepAttrs(spec),
        ...attestAttrs(spec),
        ...cacheMountNamespace(spec, namespace),
      },
      exporters: isQuestion ? [] : exporters(spec),
      cacheImports: caches.imports,
      cacheExports: isQuestion ? [] : caches.exports,
      ...(rights.length === 0 ? {} : { entitlements: rights }),
      ...sourcePolicy(spec, sources),
    },
    needs: { ...needsOf(spec, sources), hidden: [...caches.hidden, ...outputLogins(spec)] },
  };
}
