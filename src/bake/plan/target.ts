// A target of a Bake file as the spec of a BuildRun. What has no meaning in a cluster is refused by the name that the
// field has in the file. Pure.

import type { BakeSpec, BuildRunSpecInput } from "../../api/v1alpha1/index.ts";
import { BuildRunSpec } from "../../api/v1alpha1/index.ts";
import type { ChosenTarget } from "../file/choose.ts";
import { notSupported } from "../file/refusal.ts";
import { cachesOf } from "./caches.ts";
import { isRemote, mainContext, namedContexts } from "./contexts.ts";
import { outputsOf } from "./outputs.ts";
import { attestationsOf, secretsOf, sshOf, stepsOf } from "./steps.ts";
import { present, type Refuse } from "./values.ts";

/** What a target becomes a spec with. */
export interface TargetSources {
  readonly bake: BakeSpec;
  /** Whether another target builds from it. */
  readonly isNeeded: boolean;
  /** The BuildRun of a target. */
  readonly runOf: (target: string) => string;
}

/** Where fields of the BuildRun stand in the file. */
const origins: Readonly<Record<string, string>> = {
  ...{ buildArgs: "args", buildContexts: "contexts", hostAliases: "extra-hosts" },
  ...{ outputs: "output", cache: "cache-from and cache-to", noCache: "no-cache" },
  ...{ noCacheFilter: "no-cache-filter", shmSize: "shm-size", stepResources: "resources" },
  ...{ secrets: "secret", attestations: "attest" },
};

/** The spec. Throws `KilnError` `TargetNotSupported` that names the target and the field. */
export function targetSpec(
  { name, target }: ChosenTarget,
  { bake, isNeeded, runOf }: TargetSources,
): BuildRunSpecInput {
  const refuse: Refuse = (field, why) => notSupported(name, field, why);
  const from = { bake, refuse, runOf };
  if (target.policies > 0)
    throw refuse(
      "policy",
      "is a policy in Rego, which is not evaluated: use a BuildRun with sourcePolicy.",
    );
  const call = callOf(target.call);
  if (call !== undefined && isNeeded)
    throw refuse("call", "asks instead of building, and another target builds from it.");
  const spec: BuildRunSpecInput = {
    ...present({ builderRef: bake.builderRef, target: target.target || undefined, call }),
    serviceAccountName: bake.serviceAccountName,
    context: mainContext(target, from),
    dockerfile: dockerfileOf(target, refuse),
    buildArgs: Object.entries(target.args).map(([arg, value]) => ({ name: arg, value })),
    labels: target.labels,
    platforms: [...new Set(target.platforms)],
    buildContexts: namedContexts(target, from),
    noCache: target.noCache,
    noCacheFilter: target.noCache ? [] : [...new Set(target.noCacheFilter)],
    pull: target.pull,
    secrets: secretsOf(target, from),
    ssh: sshOf(target, from),
    attestations: attestationsOf(target, from),
    outputs: outputsOf(target, isNeeded, from),
    cache: cachesOf(target, from),
    registryCredentials: bake.registryCredentials,
    timeout: bake.timeout,
    retry: bake.retry,
    ...stepsOf(target, from),
  };
  checked(spec, refuse);
  return spec;
}

/** `check,format=json` asks for check; how it is shown is the command's. */
function callOf(call: string | undefined): string | undefined {
  const [word = ""] = (call ?? "").split(",");
  if (word === "" || word === "build") return undefined;
  return word === "lint" ? "check" : word;
}

function dockerfileOf(
  { dockerfile, dockerfileInline }: ChosenTarget["target"],
  refuse: Refuse,
): NonNullable<BuildRunSpecInput["dockerfile"]> {
  if (dockerfileInline !== undefined) return { inline: dockerfileInline };
  if (isRemote(dockerfile) || dockerfile === "-" || dockerfile.startsWith("cwd://"))
    throw refuse("dockerfile", `is "${dockerfile}": it must be a path in the context.`);
  return { path: dockerfile.replace(/^(\.\/)+/, "") };
}

/** What the schema of a BuildRun refuses is told for the field of the file that it comes from. */
function checked(spec: BuildRunSpecInput, refuse: Refuse): void {
  const read = BuildRunSpec.safeParse(spec);
  if (read.success) return;
  const [issue] = read.error.issues;
  const [first = "", ...rest] = (issue?.path ?? []).map(String);
  const field = origins[first] ?? first;
  const at = rest.length === 0 ? "" : ` (spec.${[first, ...rest].join(".")} of its BuildRun)`;
  throw refuse(field, `${issue?.message ?? "is not valid"}${at}.`);
}
