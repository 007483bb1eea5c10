// How is a real buildkitd started as a local process: on a unix socket or on TCP with mutual TLS?
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { binaries } from "../base/binaries.ts";
import { authority, leaf } from "./certs.ts";
import { freePort } from "../base/ports.ts";
import { type RunningProcess, start, waitFor } from "../base/process.ts";
import { step } from "../base/progress.ts";

const run = promisify(execFile);
const readyMs = 60_000;

/** Files of a TLS client, in PEM. */
export interface ClientTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** What a test may choose about its buildkitd. */
export interface BuildkitdSettings {
  /** buildkitd.toml; `root`, `grpc` and the docker.io mirror are added. */
  readonly config?: string;
  /** Listen on tcp://127.0.0.1 and ask clients for a certificate. Default: a unix socket. */
  readonly tls?: boolean;
  /** Platforms that the worker claims, such as "linux/arm64". Default: what buildkitd detects. */
  readonly platforms?: readonly string[];
  /** Registry (address:port) that answers for docker.io. */
  readonly mirrorHost?: string;
  /** Registries (address:port) without TLS. */
  readonly insecureRegistries?: readonly string[];
  /** Path of a buildkitd that runs instead of the pinned one. */
  readonly program?: string;
  /** More flags of buildkitd. */
  readonly args?: readonly string[];
}

/** A running buildkitd. */
export interface Buildkitd {
  /** unix:///… or tcp://127.0.0.1:port */
  readonly address: string;
  readonly tls?: ClientTls;
  readonly process: RunningProcess;
  /** Its root folder. */
  readonly root: string;
  /** Runs buildctl against it; rejects with buildctl's stderr in the message. */
  buildctl(args: readonly string[]): Promise<{ stdout: string; stderr: string }>;
  stop(): Promise<void>;
}

/** buildkitd.toml sections that send docker.io to a mirror and mark registries as plain http. */
export function registrySections(mirror: string | undefined, insecure: readonly string[]): string {
  const sections: string[] = [];
  if (mirror !== undefined) sections.push(`[registry."docker.io"]\n  mirrors = ["${mirror}"]`);
  const plain = new Set([...(mirror === undefined ? [] : [mirror]), ...insecure]);
  for (const host of plain) sections.push(`[registry."${host}"]\n  http = true`);
  return sections.join("\n");
}

/** Adds the parent control group to the table worker.oci, which TOML allows only once. */
export function withCgroupParent(config: string, parent: string): string {
  const line = `  defaultCgroupParent = "${parent}"`;
  const table = /^\s*\[worker\.oci\]\s*$/m;
  if (table.test(config)) return config.replace(table, (found) => `${found}\n${line}`);
  return `${config}\n[worker.oci]\n${line}\n`;
}

/** All that `startBuildkitd` can be told. */
export interface StartBuildkitdOptions extends BuildkitdSettings {
  readonly folder: string;
  /** Top control group of its containers. */
  readonly cgroup: string;
}

interface Listener {
  readonly address: string;
  readonly flags: readonly string[];
  readonly tls?: ClientTls;
}

async function listener(options: StartBuildkitdOptions): Promise<Listener> {
  if (options.tls !== true) {
    const address = `unix://${path.join(options.folder, "buildkitd.sock")}`;
    return { address, flags: ["--addr", address] };
  }
  const ca = await authority(path.join(options.folder, "pki"), "ca");
  const server = await leaf(ca, {
    name: "server",
    commonName: "buildkitd",
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
  });
  const client = await leaf(ca, { name: "client", commonName: "client" });
  const address = `tcp://127.0.0.1:${await freePort()}`;
  const tlsFlags = ["--tlscacert", ca.cert, "--tlscert", server.cert, "--tlskey", server.key];
  return { address, flags: ["--addr", address, ...tlsFlags], tls: { ca: ca.cert, ...client } };
}

function buildctlFlags(listening: Listener): string[] {
  const { address, tls } = listening;
  if (tls === undefined) return ["--addr", address];
  return ["--addr", address, "--tlscacert", tls.ca, "--tlscert", tls.cert, "--tlskey", tls.key];
}

/** Starts a buildkitd in a folder and returns when its workers answer. */
export async function startBuildkitd(options: StartBuildkitdOptions): Promise<Buildkitd> {
  const programs = await binaries(["buildkitd", "buildctl", "runc"]);
  const { folder } = options;
  const root = path.join(folder, "root");
  mkdirSync(root, { recursive: true });
  const registries = registrySections(options.mirrorHost, options.insecureRegistries ?? []);
  const config = path.join(folder, "buildkitd.toml");
  writeFileSync(
    config,
    `${withCgroupParent(options.config ?? "", options.cgroup)}\n${registries}\n`,
  );
  const listening = await listener(options);
  const daemon = await start({
    name: "buildkitd",
    folder,
    isolate: true,
    command: [
      options.program ?? programs.buildkitd,
      "--config",
      config,
      "--root",
      root,
      ...listening.flags,
      // By itself buildkitd looks for runc on the PATH only, and goes without the worker if there is none.
      "--oci-worker=true",
      "--oci-worker-binary",
      programs.runc,
      "--containerd-worker=false",
      ...(options.platforms ?? []).flatMap((platform) => ["--oci-worker-platform", platform]),
      ...(options.args ?? []),
    ],
  });
  const buildctl = (args: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
    run(programs.buildctl, [...buildctlFlags(listening), ...args], { maxBuffer: 256 << 20 });
  try {
    await step("starting buildkitd", () =>
      waitFor("buildkitd's workers", () => buildctl(["debug", "workers"]), {
        deadlineMs: readyMs,
        processes: [daemon],
      }),
    );
  } catch (error) {
    await daemon.stop();
    throw error;
  }
  const trust = listening.tls === undefined ? {} : { tls: listening.tls };
  return {
    address: listening.address,
    ...trust,
    process: daemon,
    root,
    buildctl,
    stop: () => daemon.stop(),
  };
}
