// Where a build's files come from, main context and named ones: attributes of the frontend, and what has to be read from
// the cluster for them. Pure.

import { artifactContext, dockerfileAttr } from "../../agent/sources/marks.ts";
import type { BuildRunSpec, NamedContext } from "../../api/v1alpha1/index.ts";
import type { SolveRequest } from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import { gitContext } from "./git-context.ts";
import type { ArchiveNeed, GitNeed, RunNeed, TreeNeed } from "./needs.ts";
import { checksumRule } from "./source-rules.ts";

type SourceRules = NonNullable<SolveRequest["sourcePolicy"]>["rules"];
type Git = NonNullable<BuildRunSpec["context"]["git"]>;
type Http = NonNullable<BuildRunSpec["context"]["http"]>;
type Inline = NonNullable<BuildRunSpec["context"]["inline"]>;

/** What a context adds to a plan. */
export interface ContextPlan {
  readonly attrs: Readonly<Record<string, string>>;
  readonly trees: Readonly<Record<string, TreeNeed>>;
  readonly gits: readonly GitNeed[];
  readonly archives: readonly ArchiveNeed[];
  readonly runs: readonly RunNeed[];
  readonly rules: SourceRules;
  /**
   * What the frontend must know, for its attribute `frontend.caps`: one that does not refuses the build instead of
   * passing the context over. `+forward`: the frontend that `# syntax=` names may know it instead
   * (frontend/dockerfile/builder/caps.go, BuildKit v0.34.2).
   */
  readonly caps: readonly string[];
}

const nothing: ContextPlan = {
  attrs: {},
  trees: {},
  gits: [],
  archives: [],
  runs: [],
  rules: [],
  caps: [],
};
const namedCap = "moby.buildkit.frontend.contexts+forward";
const queryCap = "moby.buildkit.frontend.gitquerystring";

function invalid(field: string, message: string): KilnError {
  return new KilnError({ class: "User", reason: "InvalidContext", message: `${field} ${message}` });
}

function gitPlan(attr: string, git: Git, field: string): ContextPlan {
  const { transport, host, remote, attribute, query } = gitContext(git, field);
  const secretName = git.credentials?.secretRef.name;
  const cap = attr === "context" ? queryCap : `${queryCap}+forward`;
  const plan = { ...nothing, attrs: { [attr]: attribute }, caps: query ? [cap] : [] };
  if (secretName === undefined) return plan;
  return { ...plan, gits: [{ secretName, transport, host, remote }] };
}

function httpPlan(attr: string, http: Http, field: string): ContextPlan {
  const { url, checksum, credentials } = http;
  if (!/^https?:\/\/[^\s/]/.test(url) || !URL.canParse(url))
    throw invalid(`${field}.url`, "must be an http or https URL of an archive.");
  if (new URL(url).pathname.endsWith(".git"))
    throw invalid(`${field}.url`, "ends in .git, which BuildKit clones; use git.");
  const secretName = credentials?.secretRef.name;
  const host = new URL(url).hostname;
  return {
    ...nothing,
    attrs: { [attr]: url },
    // The frontend takes no checksum for its context; a policy makes the daemon refuse any other content.
    rules: checksum === undefined ? [] : [checksumRule(url, checksum)],
    archives: secretName === undefined ? [] : [{ secretName, host }],
  };
}

const inputsCap = "moby.buildkit.frontend.inputs+forward";

/** What is in a registry: an image that the daemon pulls, or content that the agent lends it. */
function registryPlan(
  attr: string,
  { image, artifact }: Pick<NamedContext, "image" | "artifact">,
): ContextPlan | undefined {
  if (artifact !== undefined) return { ...nothing, attrs: { [attr]: artifactContext(artifact) } };
  if (image === undefined) return undefined;
  return { ...nothing, attrs: { [attr]: `docker-image://${image}` } };
}

function inlineTree({ files }: Inline): TreeNeed {
  return {
    kind: "files",
    files: files.map(({ path, text }) => ({
      path: path
        .split("/")
        .filter((part) => part !== "" && part !== ".")
        .join("/"),
      text,
    })),
  };
}

/** A place whose files Kiln itself hands to the daemon; undefined: the daemon fetches it. */
function treeOf(
  place: Pick<NamedContext, "configMap" | "secret" | "inline">,
): TreeNeed | undefined {
  if (place.configMap !== undefined) return { kind: "configMap", name: place.configMap.name };
  if (place.secret !== undefined) return { kind: "secret", name: place.secret.name };
  return place.inline === undefined ? undefined : inlineTree(place.inline);
}

/** The main context. Throws `KilnError` `InvalidContext` or `DockerfileMissing`, naming the field. */
export function mainContext({ context, dockerfile }: BuildRunSpec): ContextPlan {
  if (context.git !== undefined) return gitPlan("context", context.git, "spec.context.git");
  if (context.http !== undefined) return httpPlan("context", context.http, "spec.context.http");
  const tree = treeOf(context);
  if (tree !== undefined) return { ...nothing, trees: { context: tree, dockerfile: tree } };
  const content = registryPlan("context", context);
  // Frontends take it as an input, which the agent makes of it.
  if (content !== undefined) return { ...content, caps: [inputsCap] };
  const { inline, configMap, buildContext } = dockerfile;
  if (inline === undefined && configMap === undefined && buildContext === undefined)
    throw new KilnError({
      class: "User",
      reason: "DockerfileMissing",
      message: "spec.context.none has no files; write the Dockerfile into spec.dockerfile.inline.",
    });
  return { ...nothing, trees: { context: { kind: "empty" } } };
}

/** The name as frontends look it up: Docker Hub's own prefixes and the tag latest are not written. */
export function contextName(name: string): string {
  return name
    .replace(/^(?:index\.)?docker\.io\//, "")
    .replace(/^library\/(?=[^/]+$)/, "")
    .replace(/:latest$/, "");
}

function namedPlan(context: NamedContext, index: number): ContextPlan {
  const field = `spec.buildContexts[${index}]`;
  const name = contextName(context.name);
  const key = context.platform === undefined ? name : `${name}::${context.platform}`;
  const attr = `context:${key}`;
  if (context.git !== undefined) return gitPlan(attr, context.git, `${field}.git`);
  if (context.http !== undefined) return httpPlan(attr, context.http, `${field}.http`);
  const content = registryPlan(attr, context);
  if (content !== undefined) return content;
  if (context.buildRun !== undefined)
    // Which image it is, is known when that run has ended. Until then the plan says whose.
    return {
      ...nothing,
      attrs: { [attr]: `buildrun://${context.buildRun.name}` },
      runs: [{ attr, name: context.buildRun.name }],
    };
  const tree = treeOf(context) ?? { kind: "empty" };
  // Names of local directories share one space with the main context's own two.
  const directory = `named-${index}`;
  return { ...nothing, attrs: { [attr]: `local:${directory}` }, trees: { [directory]: tree } };
}

/** The named contexts. Throws `KilnError` `InvalidContext` for a name that is there twice. */
export function namedContexts({ buildContexts }: BuildRunSpec): ContextPlan {
  const plans = buildContexts.map(namedPlan);
  const names = plans.flatMap(({ attrs }) => Object.keys(attrs));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw invalid(
      "spec.buildContexts",
      `has "${twice.slice("context:".length)}" twice; remove one.`,
    );
  const all = merged(plans);
  return plans.length === 0 ? all : { ...all, caps: [...all.caps, namedCap] };
}

/** Several contexts as one. */
export function merged(plans: readonly ContextPlan[]): ContextPlan {
  return {
    attrs: Object.assign({}, ...plans.map(({ attrs }) => attrs)) as ContextPlan["attrs"],
    trees: Object.assign({}, ...plans.map(({ trees }) => trees)) as ContextPlan["trees"],
    gits: plans.flatMap(({ gits }) => gits),
    archives: plans.flatMap(({ archives }) => archives),
    runs: plans.flatMap(({ runs }) => runs),
    rules: plans.flatMap(({ rules }) => rules),
    caps: plans.flatMap(({ caps }) => caps),
  };
}

/** A Dockerfile out of a named context. Throws `KilnError` `InvalidContext` when there is none of that name. */
export function contextDockerfile(
  { buildContexts }: BuildRunSpec,
  { name, path }: { readonly name: string; readonly path: string },
): Pick<ContextPlan, "attrs" | "trees"> {
  const index = buildContexts.findIndex(
    (one) => contextName(one.name) === contextName(name) && one.platform === undefined,
  );
  const context = buildContexts[index];
  if (context === undefined)
    throw invalid(
      "spec.dockerfile.buildContext.name",
      `is "${name}", which is not in spec.buildContexts for all platforms; add it there.`,
    );
  const attrs = { filename: path, dockerfilekey: "dockerfile" };
  const tree = treeOf(context);
  if (tree !== undefined) return { attrs, trees: { dockerfile: tree } };
  return {
    attrs: { ...attrs, [dockerfileAttr]: `context:${contextName(context.name)}` },
    trees: {},
  };
}
