// What an e2e test may do: kubectl against the installed Kiln, in a namespace of its own, and wait
// on conditions. Everything a test knows about Kiln, it knows as a user would.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { parseAllDocuments, stringify } from "yaml";

const execute = promisify(execFile);

/** A manifest as a test writes it. */
export type Manifest = Record<string, unknown>;

/** `status` of a BuildRun as far as the tests look at it. */
export interface RunStatus {
  readonly phase?: string;
  readonly completionTime?: string;
  readonly conditions?: readonly {
    type: string;
    status: string;
    reason: string;
    message: string;
  }[];
  readonly attempts?: readonly {
    number: number;
    ref: string;
    instance: string;
    outcome?: string;
    class?: string;
    reason?: string;
  }[];
  readonly progress?: { total: number; completed: number };
  readonly outputs?: readonly { image: { tags: string[]; digest: string } }[];
  readonly cache?: { steps: number; cached: number };
  readonly source?: { git?: { commit: string } };
  readonly failure?: {
    class: string;
    reason: string;
    message: string;
    step?: string;
    exitCode?: number;
    dockerfile?: { path: string; line: number };
    logTail: string[];
  };
}

/** The environment that `setup.ts` leaves for the tests. */
function setting(name: "KILN_E2E_KUBECTL" | "KILN_E2E_KUBECONFIG" | "KILN_E2E_REGISTRY"): string {
  const value = process.env[name];
  assert.ok(value, `${name} is set by test/e2e/setup.ts`);
  return value;
}

/** Runs kubectl and resolves to what it printed; a failure's message holds its standard error. */
async function kubectl(args: readonly string[], input?: string): Promise<string> {
  return await run(["--request-timeout=60s", ...args], 120_000, input);
}

async function run(args: readonly string[], timeout: number, input?: string): Promise<string> {
  const running = execute(
    setting("KILN_E2E_KUBECTL"),
    ["--kubeconfig", setting("KILN_E2E_KUBECONFIG"), ...args],
    { maxBuffer: 64 * 1024 * 1024, timeout },
  );
  if (input !== undefined) running.child.stdin?.end(input);
  const { stdout } = await running;
  return stdout;
}

/** Polls `probe` until it gives a value; fails with `what` and the last thing seen after `ms`. */
async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  ms = 120_000,
): Promise<T> {
  const deadline = Date.now() + ms;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error(`waited ${ms} ms in vain: ${what} (last: ${String(last)})`);
}

/** A fresh namespace, given to the test with cleanup after it. */
async function namespace(prefix: string): Promise<string> {
  const name = `${prefix}-${randomBytes(3).toString("hex")}`;
  await kubectl(["create", "namespace", name]);
  await kubectl(["label", "namespace", name, "pod-security.kubernetes.io/enforce=privileged"]);
  return name;
}

async function removeNamespace(name: string): Promise<void> {
  await kubectl(["delete", "namespace", name, "--wait=false", "--ignore-not-found"]);
}

async function apply(into: string, ...manifests: readonly Manifest[]): Promise<void> {
  await kubectl(
    ["apply", "-n", into, "-f", "-"],
    manifests.map((manifest) => stringify(manifest)).join("---\n"),
  );
}

/** Applies the documents of an example with its registry replaced by the cluster's. */
async function applyText(into: string, text: string): Promise<string[]> {
  const ours = text.replaceAll("registry.example", setting("KILN_E2E_REGISTRY"));
  await kubectl(["apply", "-n", into, "-f", "-"], ours);
  return parseAllDocuments(ours)
    .map((document) => document.toJS() as { kind?: string; metadata?: { name?: string } })
    .filter((object) => object.kind === "BuildRun")
    .map((object) => object.metadata?.name ?? "");
}

async function statusOf(at: string, run: string): Promise<RunStatus> {
  const text = await kubectl(["get", "buildrun", run, "-n", at, "-o", "json"]);
  return (JSON.parse(text) as { status?: RunStatus }).status ?? {};
}

/** Waits until the run is terminal: the API server says when, nobody asks. */
async function finished(at: string, name: string, ms = 240_000): Promise<RunStatus> {
  const until = ["--for=jsonpath={.status.completionTime}", `--timeout=${Math.ceil(ms / 1000)}s`];
  try {
    await run(["wait", "buildrun", name, "-n", at, ...until], ms + 10_000);
  } catch (cause) {
    const status = JSON.stringify(await statusOf(at, name));
    throw new Error(`waited ${ms} ms in vain for the end of ${at}/${name}: ${status}`, { cause });
  }
  return await statusOf(at, name);
}

function aBuilder(over: Manifest = {}, name = "default"): Manifest {
  return {
    apiVersion: "kiln.build/v1alpha1",
    kind: "Builder",
    metadata: { name },
    spec: { kubernetes: { security: "Privileged" }, ...over },
  };
}

/** A run of an inline Dockerfile. */
function aRun(name: string, dockerfile: string, over: Manifest = {}): Manifest {
  return {
    apiVersion: "kiln.build/v1alpha1",
    kind: "BuildRun",
    metadata: { name },
    spec: { context: { none: {} }, dockerfile: { inline: dockerfile }, ...over },
  };
}

/** What a pod of this spec prints first. */
async function printedBy(at: string, name: string, spec: Manifest): Promise<string> {
  const full = { restartPolicy: "Never", ...spec };
  await apply(at, { apiVersion: "v1", kind: "Pod", metadata: { name }, spec: full });
  const text = await until(`pod ${at}/${name} to print`, async () => {
    const printed = await kubectl(["logs", name, "-n", at]);
    return printed === "" ? undefined : printed;
  });
  return text.trim();
}

/** `registry.example` of this cluster, `host:port`. */
const registry = (): string => setting("KILN_E2E_REGISTRY");

/** The reason of the condition `Succeeded`. */
export function reasonOf(status: RunStatus): string | undefined {
  return status.conditions?.find((condition) => condition.type === "Succeeded")?.reason;
}

/** The cluster that all e2e tests share. */
export const cluster = {
  kubectl,
  until,
  namespace,
  removeNamespace,
  apply,
  applyText,
  statusOf,
  finished,
  printedBy,
  registry,
};

export { aBuilder, aRun };
