// How does a test or the tool itself run the real kubectl against a control plane?
import { spawn } from "node:child_process";
import { binary } from "../base/binaries.ts";

/** What kubectl printed, and how it ended. */
export interface KubectlResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** Input and deadline of one call. */
export interface KubectlOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 60_000;

/** Runs kubectl and gives what it printed, whatever its exit code. */
export async function kubectl(
  kubeconfig: string,
  args: readonly string[],
  options: KubectlOptions = {},
): Promise<KubectlResult> {
  const program = await binary("kubectl");
  const child = spawn(program, ["--kubeconfig", kubeconfig, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    timeout: options.timeoutMs ?? defaultTimeoutMs,
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  const [stdout, stderr] = await Promise.all(
    [child.stdout, child.stderr].map(async (stream) => {
      let text = "";
      for await (const chunk of stream.setEncoding("utf8")) text += String(chunk);
      return text;
    }),
  );
  const code = await new Promise<number>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode ?? 1);
    else child.once("exit", (exitCode) => resolve(exitCode ?? 1));
  });
  return { stdout: stdout ?? "", stderr: stderr ?? "", code };
}

/** Applies manifests (objects or YAML text). @throws with kubectl's message when it refuses them */
export async function applyManifests(
  kubeconfig: string,
  manifests: string | readonly object[],
): Promise<void> {
  const input =
    typeof manifests === "string"
      ? manifests
      : JSON.stringify({ apiVersion: "v1", kind: "List", items: manifests });
  const result = await kubectl(kubeconfig, ["apply", "--server-side", "-f", "-"], { input });
  if (result.code !== 0) throw new Error(`kubectl apply: ${result.stderr}`);
}
