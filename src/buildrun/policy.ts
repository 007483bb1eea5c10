// May this run do what it asks for, on this Builder? Held against the solve request, which is what the
// daemon would get, so that no way of writing a BuildRun goes past it. Pure; looked at before any
// builder is woken.

import type { Allow, BuildRun } from "../api/v1alpha1/index.ts";
import type { SolveFailure } from "../agent/agent.ts";
import { KilnError } from "../errors/index.ts";
import { parseReference } from "../registry/reference.ts";
import type { Entry } from "./plan/outputs.ts";
import type { SolvePlan } from "./plan/plan.ts";

/** What is asked, and of whom. */
export interface Question {
  readonly run: BuildRun;
  readonly plan: SolvePlan;
  readonly allow: Allow;
  /** For sentences: `ClusterBuilder "shared"`. */
  readonly builder: string;
}

type Rule = (question: Question) => SolveFailure | undefined;

/** What the Builder does not let the run do, the most fundamental first; undefined when it may. */
export function forbidden(question: Question): SolveFailure | undefined {
  for (const rule of rules) {
    const failure = rule(question);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

const namespaceIsAllowed: Rule = ({ run, allow, builder }) => {
  const namespace = run.metadata.namespace ?? "";
  if (allow.namespaces?.some((pattern) => matches(pattern, namespace)) ?? true) return undefined;
  return {
    ...policy,
    reason: "NamespaceNotAllowed",
    message: `${builder} takes no runs of namespace "${namespace}": add it to spec.allow.namespaces there, or start a new run with another builderRef.`,
  };
};

const serviceAccountIsAllowed: Rule = ({ run, allow, builder }) => {
  const account = run.spec.serviceAccountName;
  const full = `${run.metadata.namespace ?? ""}/${account}`;
  const isAllowed = allow.serviceAccounts?.some((pattern) => accountMatches(pattern, full)) ?? true;
  if (isAllowed) return undefined;
  return {
    ...policy,
    reason: "ServiceAccountNotAllowed",
    message: `${builder} takes no runs of service account ${full}: add it to spec.allow.serviceAccounts there, or start a new run with another serviceAccountName.`,
  };
};

const entitlementsAreAllowed: Rule = ({ plan, allow, builder }) => {
  // A device is asked for as device=<name>.
  const other = plan.request.entitlements?.find(
    (one) => !(allow.entitlements as readonly string[]).includes(one.split("=")[0] ?? ""),
  );
  if (other === undefined) return undefined;
  return {
    ...policy,
    reason: "EntitlementNotAllowed",
    message: `${builder} does not grant ${other}: add it to spec.allow.entitlements there, or start a new run without it.`,
  };
};

const frontendIsAllowed: Rule = ({ plan, allow, builder }) => {
  const image = frontendImage(plan);
  if (image === undefined || (allow.frontends?.some((one) => isRepository(one, image)) ?? true))
    return undefined;
  return {
    ...policy,
    reason: "FrontendNotAllowed",
    message: `${builder} does not run the frontend ${image}: add its repository to spec.allow.frontends there, or start a new run without it.`,
  };
};

/**
 * BuildKit asks for a frontend's image under its name, and a named context of that name takes its place
 * (frontend/gateway/gateway.go, v0.34.2): the daemon's own list does not see what is run then.
 */
const frontendIsNotReplaced: Rule = ({ plan, allow, builder }) => {
  const name = Object.keys(plan.request.frontendAttrs)
    .flatMap((key) => /^context:(.+?)(?:::.*)?$/.exec(key)?.[1] ?? [])
    .find((context) => allow.frontends?.some((one) => isRepository(one, context)) ?? false);
  if (name === undefined) return undefined;
  return {
    ...policy,
    reason: "FrontendNotAllowed",
    message: `${builder} runs the frontend ${name} as it is: start a new run without a named context in its place.`,
  };
};

/** A source policy that converts images would convert an allowed frontend's, too: the daemon resolves both alike. */
const frontendIsNotConverted: Rule = ({ plan, allow, builder }) => {
  if (allow.frontends === undefined) return undefined;
  const rule = plan.request.sourcePolicy?.rules.find(
    ({ action, selector: { identifier, match } }) =>
      action === "convert" && (match === "regex" || !/^(?:git|https?):\/\//.test(identifier)),
  );
  if (rule === undefined) return undefined;
  return {
    ...policy,
    reason: "FrontendNotAllowed",
    message: `${builder} runs allowed frontends as they are, which ${JSON.stringify(rule.selector.identifier)} in spec.sourcePolicy may replace: start a new run without that rule.`,
  };
};

const outputsAreAllowed: Rule = ({ plan, allow, builder }) => {
  const refused = plan.request.exporters
    .map((entry) => notIn(allow.outputs, entry, "outputs"))
    .find((says) => says !== undefined);
  if (refused === undefined) return undefined;
  return { ...policy, reason: "OutputNotAllowed", message: `${builder} ${refused}` };
};

const cachesAreAllowed: Rule = ({ plan: { request }, allow, builder }) => {
  const refused = [...request.cacheImports, ...request.cacheExports]
    .map((entry) => notIn(allow.caches, entry, "caches"))
    .find((says) => says !== undefined);
  if (refused === undefined) return undefined;
  return { ...policy, reason: "CacheNotAllowed", message: `${builder} ${refused}` };
};

const rules: readonly Rule[] = [
  namespaceIsAllowed,
  serviceAccountIsAllowed,
  entitlementsAreAllowed,
  frontendIsAllowed,
  frontendIsNotReplaced,
  frontendIsNotConverted,
  outputsAreAllowed,
  cachesAreAllowed,
];

const policy = { class: "Policy", retryable: false, logTail: [] } as const;

/** Where a file output goes; undefined for what has no place of its own. */
function placeIn(dest: string | undefined): { readonly ref?: string } | undefined {
  // A local cache has a name there, not a place.
  return dest?.startsWith("{") === true ? (JSON.parse(dest) as { ref?: string }) : undefined;
}

/** Kinds whose attributes name repositories; inline is part of an image. */
const inRepositories: ReadonlySet<string> = new Set(["image", "registry", "inline"]);

/** Why an exporter or a cache is refused, as the end of a sentence. */
function notIn(
  list: Allow["outputs"],
  { type, attrs }: Pick<Entry, "type"> & { readonly attrs: Readonly<Record<string, string>> },
  what: "outputs" | "caches",
): string | undefined {
  if (list?.types !== undefined && !list.types.includes(type))
    return `allows no ${what} of type ${type}: add it to spec.allow.${what}.types there, or start a new run without it.`;
  // A bucket, a scope or a directory is no repository: a list of these allows it only by its kind.
  const place = placeIn(attrs["dest"]);
  if (place === undefined ? !inRepositories.has(type) : place.ref === undefined)
    return list?.repositories === undefined || list.types !== undefined
      ? undefined
      : `allows ${what} in some repositories only, and ${type} is in none: add it to spec.allow.${what}.types there, or start a new run without it.`;
  const names = (place?.ref ?? attrs["name"] ?? attrs["ref"] ?? "")
    .split(",")
    .filter((name) => name !== "");
  const other = names.find(
    (name) => !(list?.repositories?.some((pattern) => isRepository(pattern, name)) ?? true),
  );
  if (other === undefined) return undefined;
  return `allows no ${what} in ${other}: add its repository to spec.allow.${what}.repositories there, or start a new run with another.`;
}

/**
 * The frontend image that the run is known to use: named in the request, or by the `# syntax=` line of an
 * inline Dockerfile. That of a file in the context is refused by the daemon, which is told the same list.
 */
function frontendImage({ request, needs }: SolvePlan): string | undefined {
  if (request.frontend === "gateway.v0") return request.frontendAttrs["source"] ?? "";
  const byArg = request.frontendAttrs["build-arg:BUILDKIT_SYNTAX"];
  if (byArg !== undefined) return byArg.split(" ")[0];
  const file = needs.trees["dockerfile"];
  return file?.kind === "inline" ? syntaxOf(file.text) : undefined;
}

/**
 * The image of a `# syntax=` line, as BuildKit finds it (frontend/dockerfile/parser/directives.go, v0.34.2):
 * in the directives at the top, after `#` or else `//`, or in a text that is JSON.
 */
export function syntaxOf(dockerfile: string): string | undefined {
  const text = dockerfile.replace(/^\uFEFF/, "").replace(/^#![^\n]*\n?/, "");
  return directive(text, "#") ?? directive(text, "//") ?? jsonSyntax(text);
}

function directive(text: string, comment: string): string | undefined {
  for (const line of text.split(/\r?\n/)) {
    if (!line.startsWith(comment)) return undefined;
    const found = /^\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(line.slice(comment.length));
    const name = found?.[1]?.toLowerCase() ?? "";
    if (name === "syntax") return found?.[2]?.split(" ")[0];
    if (name !== "escape" && name !== "check") return undefined;
  }
  return undefined;
}

function jsonSyntax(text: string): string | undefined {
  try {
    const { syntax } = JSON.parse(text) as { readonly syntax?: unknown };
    return typeof syntax === "string" ? syntax : undefined;
  } catch {
    return undefined;
  }
}

function matches(pattern: string, value: string): boolean {
  return pattern.endsWith("*") ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
}

/** `name`, or `namespace/name`; `full` is always the latter. */
function accountMatches(pattern: string, full: string): boolean {
  const [namespace = "", name = ""] = full.split("/");
  const slash = pattern.indexOf("/");
  if (slash < 0) return matches(pattern, name);
  return matches(pattern.slice(0, slash), namespace) && matches(pattern.slice(slash + 1), name);
}

/** Whether an image is of this repository, or below it when the pattern ends with `/*`. */
function isRepository(pattern: string, image: string): boolean {
  const name = nameOf(image);
  if (name === undefined) return false;
  if (!pattern.endsWith("/*")) return nameOf(pattern) === name;
  const prefix = pattern.slice(0, -2);
  const first = prefix.split("/")[0] ?? "";
  const isDomain = /[.:]/.test(first) || first === "localhost";
  return name.startsWith(`${isDomain ? prefix : `docker.io/${prefix}`}/`);
}

/** `domain/repository`; undefined for what is no image, which no pattern is meant for. */
function nameOf(image: string): string | undefined {
  try {
    const { domain, repository } = parseReference(image);
    return `${domain}/${repository}`;
  } catch (error) {
    if (error instanceof KilnError) return undefined;
    throw error;
  }
}
