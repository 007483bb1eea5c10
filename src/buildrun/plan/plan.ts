// What a run asks of BuildKit: spec → plan. Pure and printable: a plan holds names of Secrets, never what is in them.

import type { BuildRun, BuildRunSpec } from "../../api/v1alpha1/index.ts";
import type { SolveRequest } from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import { type GitContext, gitContext } from "./git-context.ts";
import { checksumRule } from "./source-rules.ts";
import { cacheExports, cacheImports, exporters } from "./outputs.ts";

/** A Secret's key that the build may read as a session secret. */
export interface SecretNeed {
  readonly id: string;
  readonly name: string;
  readonly key: string;
}

/** Where a local tree's files come from. */
export type TreeNeed =
  | { readonly kind: "inline"; readonly file: string; readonly text: string }
  | { readonly kind: "configMap"; readonly name: string }
  | { readonly kind: "empty" };

/** Credentials of the git context: which Secret, and what it is used for. */
export interface GitNeed {
  readonly secretName: string;
  readonly transport: "http" | "ssh";
  readonly host: string;
  readonly remote: string;
}

/** What has to be read from the cluster before the solve can start. Names only. */
export interface Needs {
  readonly secrets: readonly SecretNeed[];
  readonly git?: GitNeed;
  readonly registryCredentials: readonly string[];
  /** By the name that the frontend asks for. */
  readonly trees: Readonly<Record<string, TreeNeed>>;
}

/** A run's solve request, without the ref that each attempt adds, and what it needs. */
export interface SolvePlan {
  readonly request: Omit<SolveRequest, "ref">;
  readonly needs: Needs;
}

interface ContextPlan {
  readonly attrs: Record<string, string>;
  readonly trees: Record<string, TreeNeed>;
  readonly git?: GitNeed;
  readonly policy?: SolveRequest["sourcePolicy"];
}

const inlineName = "Dockerfile";

function user(reason: string, message: string): KilnError {
  return new KilnError({ class: "User", reason, message });
}

function gitPlan(git: NonNullable<BuildRunSpec["context"]["git"]>): ContextPlan {
  const context: GitContext = gitContext(git);
  const secretName = git.credentials?.secretRef.name;
  if (secretName === undefined) return { attrs: { context: context.attribute }, trees: {} };
  const { transport, host, remote } = context;
  return {
    attrs: { context: context.attribute },
    trees: {},
    git: { secretName, transport, host, remote },
  };
}

function httpPlan(http: NonNullable<BuildRunSpec["context"]["http"]>): ContextPlan {
  if (!/^https?:\/\/[^\s/]/.test(http.url) || !URL.canParse(http.url))
    throw user(
      "InvalidContext",
      "spec.context.http.url must be an http or https URL of an archive.",
    );
  if (new URL(http.url).pathname.endsWith(".git"))
    throw user(
      "InvalidContext",
      "spec.context.http.url ends in .git, which BuildKit clones; use context.git.",
    );
  const attrs = { context: http.url };
  if (http.checksum === undefined) return { attrs, trees: {} };
  // The frontend takes no checksum for its context; a policy makes the daemon refuse any other content.
  return { attrs, trees: {}, policy: { rules: [checksumRule(http.url, http.checksum)] } };
}

function contextPlan({ context, dockerfile }: BuildRunSpec): ContextPlan {
  if (context.git !== undefined) return gitPlan(context.git);
  if (context.http !== undefined) return httpPlan(context.http);
  if (context.configMap !== undefined) {
    const tree: TreeNeed = { kind: "configMap", name: context.configMap.name };
    return { attrs: {}, trees: { context: tree, dockerfile: tree } };
  }
  if (dockerfile.inline === undefined)
    throw user(
      "DockerfileMissing",
      "spec.context.none has no files; write the Dockerfile into spec.dockerfile.inline.",
    );
  return { attrs: {}, trees: { context: { kind: "empty" } } };
}

function dockerfilePlan(spec: BuildRunSpec): Pick<ContextPlan, "attrs" | "trees"> {
  const { inline, path } = spec.dockerfile;
  if (inline === undefined) return { attrs: { filename: checkedPath(path) }, trees: {} };
  return {
    attrs: { filename: inlineName, dockerfilekey: "dockerfile" },
    trees: { dockerfile: { kind: "inline", file: inlineName, text: inline } },
  };
}

function checkedPath(path: string | undefined): string {
  const file = path ?? inlineName;
  if (file.startsWith("/") || file.split("/").includes(".."))
    throw user(
      "InvalidDockerfilePath",
      'spec.dockerfile.path must be a path inside the context, without "..".',
    );
  return file;
}

function prefixed(
  prefix: string,
  entries: Iterable<readonly [string, string]>,
): Record<string, string> {
  return Object.fromEntries([...entries].map(([name, value]) => [`${prefix}:${name}`, value]));
}

function optionAttrs(spec: BuildRunSpec): Record<string, string> {
  const inlineCache = spec.cache.to.some(({ inline }) => inline !== undefined);
  return {
    ...(spec.target === undefined ? {} : { target: spec.target }),
    ...(spec.platforms.length === 0 ? {} : { platform: spec.platforms.join(",") }),
    ...(spec.noCache ? { "no-cache": "" } : {}),
    ...(spec.pull ? { "image-resolve-mode": "pull" } : {}),
    ...prefixed("label", Object.entries(spec.labels)),
    ...prefixed(
      "build-arg",
      spec.buildArgs.map(({ name, value }) => [name, value]),
    ),
    ...(inlineCache ? { "build-arg:BUILDKIT_INLINE_CACHE": "1" } : {}),
  };
}

/**
 * The plan of a run. The same spec gives the same plan, byte for byte. Throws `KilnError` of class `User` for what the
 * API server could not refuse: the message names the field.
 */
export function planOf(run: BuildRun): SolvePlan {
  const { spec } = run;
  const context = contextPlan(spec);
  const dockerfile = dockerfilePlan(spec);
  return {
    request: {
      frontend: "dockerfile.v0",
      frontendAttrs: { ...context.attrs, ...dockerfile.attrs, ...optionAttrs(spec) },
      exporters: exporters(spec),
      cacheImports: cacheImports(spec),
      cacheExports: cacheExports(spec),
      ...(context.policy === undefined ? {} : { sourcePolicy: context.policy }),
    },
    needs: {
      secrets: spec.secrets.map(({ id, secretKeyRef: { name, key } }) => ({ id, name, key })),
      ...(context.git === undefined ? {} : { git: context.git }),
      registryCredentials: spec.registryCredentials.map(({ secretRef }) => secretRef.name),
      trees: { ...context.trees, ...dockerfile.trees },
    },
  };
}
