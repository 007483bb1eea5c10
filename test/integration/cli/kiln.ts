// Runs the kiln command as people do: a process of its own, told apart by what it prints and how it ends.
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import path from "node:path";
import { repositoryRoot } from "../../cluster/index.ts";

const sources = path.join(repositoryRoot, "src/cli/main.ts");

/** How a command ended. */
export interface Ended {
  /** undefined: a signal killed it. */
  readonly code: number | undefined;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** A command that runs. */
export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  /** Resolves when standard error holds this text. */
  printed(text: string): Promise<void>;
}

/** What a command is given besides its arguments. */
export interface Given {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array;
  readonly cwd?: string;
  /** The file that is run; default: the sources. */
  readonly program?: string;
}

/** Starts kiln. Docker's config of the machine is not seen. */
export function start(args: readonly string[], given: Given = {}): Running {
  const child = spawn(process.execPath, [given.program ?? sources, ...args], {
    cwd: given.cwd ?? repositoryRoot,
    env: { PATH: process.env["PATH"], DOCKER_CONFIG: "/nowhere", ...given.env },
  });
  const chunks: Buffer[] = [];
  let stderr = "";
  const waiting: { text: string; resolve: () => void }[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
    for (const { text, resolve } of waiting) if (stderr.includes(text)) resolve();
  });
  child.stdin.end(given.stdin ?? "");
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) =>
      resolve({ code: code ?? undefined, stdout: Buffer.concat(chunks), stderr }),
    );
  });
  const printed = async (text: string): Promise<void> => {
    const seen = new Promise<void>((resolve) => {
      if (stderr.includes(text)) resolve();
      else waiting.push({ text, resolve });
    });
    await Promise.race([
      seen,
      ended.then(() => {
        if (!stderr.includes(text)) throw new Error(`ended without "${text}":\n${stderr}`);
      }),
    ]);
  };
  return { child, ended, printed };
}

/** Runs kiln to its end. */
export async function kiln(args: readonly string[], given: Given = {}): Promise<Ended> {
  return await start(args, given).ended;
}
