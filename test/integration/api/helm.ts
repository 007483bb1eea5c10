// The real helm, for the chart in helm/.

import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { parseAllDocuments } from "yaml";
import { binary, repositoryRoot } from "../../cluster/index.ts";

/** How a call of helm ended. */
export interface HelmResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

// Helm without a cluster takes a Kubernetes version of its own, older than what the chart needs.
const kubernetes = "1.34.0";

/** Runs helm with these arguments; never throws for its exit code. */
export async function helm(...args: readonly string[]): Promise<HelmResult> {
  const program = await binary("helm");
  return await new Promise((done) => {
    execFile(program, args, { timeout: 60_000, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

/** Arguments that render the chart with these values (`a.b=c`, JSON on the right). */
export function template(...values: readonly string[]): string[] {
  const sets = values.flatMap((value) => ["--set-json", value]);
  const chart = resolve(repositoryRoot, "helm");
  return ["template", "kiln", chart, "-n", "kiln-system", "--kube-version", kubernetes, ...sets];
}

/** An object of any kind, as the chart renders it. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Rendered = Readonly<Record<string, any>>;

/** What the chart renders with these values. Throws what helm says if it refuses. */
export async function rendered(...values: readonly string[]): Promise<Rendered[]> {
  const { code, stdout, stderr } = await helm(...template(...values));
  if (code !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as Rendered | null)
    .filter((object): object is Rendered => object !== null);
}
