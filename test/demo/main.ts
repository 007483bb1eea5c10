// `make demo`: from a checkout to an image in a registry. Starts the cluster, installs Kiln, applies
// examples/hello.yaml and shows what happens, with what it waits for and how long that took.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { stringify } from "yaml";
import { repositoryRoot } from "../cluster/base/binaries.ts";
import { say } from "../cluster/base/progress.ts";
import { defaultFolder, up } from "../cluster/node/cluster.ts";
import { environmentOf, installKiln } from "./install.ts";
import type { ClusterEnvironment } from "./install.ts";

const run = promisify(execFile);
const namespace = "kiln-demo";
const deadlineMs = 300_000;

interface Run {
  readonly status?: {
    readonly phase?: string;
    readonly completionTime?: string;
    readonly conditions?: readonly { readonly type: string; readonly message: string }[];
    readonly progress?: { total: number; completed: number; current?: string };
    readonly outputs?: readonly { image: { tags: string[]; digest: string } }[];
    readonly failure?: { readonly reason: string; readonly message: string };
  };
}

async function kubectl(
  { kubectl: program, kubeconfig }: ClusterEnvironment,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const running = run(program, ["--kubeconfig", kubeconfig, ...args]);
  if (input !== undefined) running.child.stdin?.end(input);
  return (await running).stdout;
}

/** What the run is doing, in one line. */
function doing({ status }: Run): string {
  if (status?.phase === undefined) return "waiting for the controller";
  const { phase, conditions, progress } = status;
  const said = conditions?.find(({ type }) => type === "Succeeded")?.message;
  if (phase !== "Running" || progress?.current === undefined) return `${phase}: ${said}`;
  return `Running ${progress.completed}/${progress.total}: ${progress.current}`;
}

/** Follows the run until it ends, saying each change once. */
async function follow(environment: ClusterEnvironment, name: string): Promise<Run> {
  const started = Date.now();
  let last = "";
  for (;;) {
    const text = await kubectl(environment, [
      "get",
      "buildrun",
      name,
      "-n",
      namespace,
      "-o",
      "json",
    ]);
    const now = JSON.parse(text) as Run;
    if (now.status?.completionTime !== undefined) return now;
    const line = doing(now);
    if (line !== last) say(`${((Date.now() - started) / 1000).toFixed(1)} s  ${line}`);
    last = line;
    if (Date.now() - started > deadlineMs) throw new Error(`the run did not end: ${line}`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

async function demo(): Promise<void> {
  const started = Date.now();
  const folder = defaultFolder();
  await up(folder);
  await installKiln(folder);
  const environment = environmentOf(folder);
  const example = readFileSync(path.join(repositoryRoot, "examples/hello.yaml"), "utf8");
  // A demo that runs again builds again; elsewhere a new build is a BuildRun with a new name.
  await kubectl(environment, ["delete", "namespace", namespace, "--ignore-not-found"]);
  await kubectl(environment, ["create", "namespace", namespace]);
  const level = "pod-security.kubernetes.io/enforce=privileged";
  await kubectl(environment, ["label", "namespace", namespace, level]);
  say("kubectl apply -f examples/hello.yaml");
  await kubectl(
    environment,
    ["apply", "-n", namespace, "-f", "-"],
    example.replaceAll("registry.example", environment.registry),
  );
  const { status } = await follow(environment, "hello");
  console.log(`\nstatus of buildrun/hello:\n\n${stringify(status)}`);
  console.log(await kubectl(environment, ["get", "kiln", "-n", namespace]));
  const image = status?.outputs?.[0]?.image;
  if (status?.phase !== "Succeeded" || image === undefined) {
    throw new Error(`the run failed: ${status?.failure?.message ?? "no failure was recorded"}`);
  }
  console.log(`pushed ${image.tags[0]}@${image.digest}`);
  console.log(`\n${Math.round((Date.now() - started) / 1000)} s in all. To go on:
  . ${path.relative(process.cwd(), folder)}/env
  kubectl describe buildrun hello -n ${namespace}
  sed "s#registry.example#$KILN_REGISTRY#" examples/cache.yaml | kubectl apply -n ${namespace} -f -
  make down`);
}

await demo();
