// What does Kiln add to a build? A run that is fully cached, from its creation to "Solve sent" and to
// "Succeeded" as a watcher sees it, against buildctl on the same daemon, alternating in one run.
//   node bench/overhead.ts [runs]        default 40

import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { buildRunKind } from "../src/api/kinds.ts";
import type { BuildRun } from "../src/api/v1alpha1/index.ts";
import { ResourceCache } from "../src/kube/cache.ts";
import { loadKubeConfig } from "../src/kube/http/credentials.ts";
import { kubeClient } from "../src/kube/rest.ts";
import { resourceType } from "../src/kube/types.ts";
import { rootLogger } from "../src/log.ts";
import {
  applyManifests,
  buildkitd,
  controlPlane,
  kubectl,
  scratch,
  waitFor,
} from "../test/cluster/index.ts";
import { writeFileSync } from "node:fs";

const dockerfile = "FROM busybox\nRUN echo cached > /f\n";
const runs = Number(process.argv[2] ?? 40);
const signal = new AbortController().signal;

/** Milliseconds at a quantile of the samples. */
function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

function row(name: string, samples: readonly number[], base: readonly number[]): string {
  const [p50, p99] = [quantile(samples, 0.5), quantile(samples, 0.99)];
  const ratio = p50 / quantile(base, 0.5);
  return `${name.padEnd(34)} p50 ${p50.toFixed(0).padStart(5)} ms   p99 ${p99.toFixed(0).padStart(5)} ms   ratio ${ratio.toFixed(2)}`;
}

const place = scratch("bench");
const plane = await controlPlane();
const daemon = await buildkitd();
const client = kubeClient(loadKubeConfig(plane.kubeconfig));
await kubectl(plane.kubeconfig, [
  ...["apply", "--server-side", "-f", path.join(import.meta.dirname, "../crds")],
]);
await kubectl(plane.kubeconfig, ["create", "namespace", "kiln-system"]);
await kubectl(plane.kubeconfig, ["create", "serviceaccount", "default"]);

const controller = spawn(
  process.execPath,
  [
    path.join(import.meta.dirname, "../src/cli/main.ts"),
    ...["controller", "--kubeconfig", plane.kubeconfig, "--probe-address", "127.0.0.1:0"],
  ],
  { stdio: ["ignore", "pipe", "inherit"] },
);
/** When the controller said that it sent the Solve of a ref, by the run's UID. */
const sentAt = new Map<string, number>();
let working = false;
createInterface({ input: controller.stdout }).on("line", (line) => {
  const { msg, ref, time } = JSON.parse(line) as { msg: string; ref?: string; time: string };
  if (msg === "working") working = true;
  if (msg === "solve started" && ref !== undefined) {
    sentAt.set(ref.replace(/-\d+$/, ""), Date.parse(time));
  }
});
await waitFor("the controller to lead", async () => (working ? true : undefined), {
  deadlineMs: 60_000,
});
await applyManifests(plane.kubeconfig, [
  {
    apiVersion: "kiln.build/v1alpha1",
    kind: "Builder",
    metadata: { name: "default", namespace: "default" },
    spec: { remote: { endpoint: daemon.address } },
  },
]);

const type = resourceType<BuildRun>(buildRunKind);
const watched = new ResourceCache<BuildRun>({ client, type, log: rootLogger("error") });
const seenAt = new Map<string, number>();
watched.onChange(({ object }) => {
  const { uid = "" } = object.metadata;
  if (object.status?.phase === "Failed") throw new Error(JSON.stringify(object.status.failure));
  if (object.status?.phase === "Succeeded" && !seenAt.has(uid)) seenAt.set(uid, Date.now());
});
watched.start();
await watched.synced;

async function throughKiln(index: number): Promise<{ sent: number; succeeded: number }> {
  const started = Date.now();
  const manifest = {
    metadata: { name: `noop-${index}`, namespace: "default" },
    spec: { context: { none: {} }, dockerfile: { inline: dockerfile } },
  };
  const created = await client.create(type, manifest as never, signal);
  const { uid = "" } = created.metadata;
  const succeeded = await waitFor("the run", async () => seenAt.get(uid), { deadlineMs: 60_000 });
  return { sent: (sentAt.get(uid) ?? Number.NaN) - started, succeeded: succeeded - started };
}

const folder = path.join(place.folder, "context");
mkdirSync(folder);
writeFileSync(path.join(folder, "Dockerfile"), dockerfile);

async function throughBuildctl(): Promise<number> {
  const started = Date.now();
  await daemon.buildctl([
    ...["build", "--frontend", "dockerfile.v0", "--progress", "plain"],
    ...["--local", `context=${folder}`, "--local", `dockerfile=${folder}`],
  ]);
  return Date.now() - started;
}

const sent: number[] = [];
const succeeded: number[] = [];
const peer: number[] = [];
for (let index = -3; index < runs; index += 1) {
  const ours = await throughKiln(index + 3);
  const theirs = await throughBuildctl();
  if (index < 0) continue;
  sent.push(ours.sent);
  succeeded.push(ours.succeeded);
  peer.push(theirs);
}
console.log(`${runs} cached runs each, alternating, on one daemon`);
console.log(row("buildctl build, whole process", peer, peer));
console.log(row("BuildRun created → Solve sent", sent, peer));
console.log(row("BuildRun created → Succeeded seen", succeeded, peer));

controller.kill("SIGTERM");
await new Promise((resolve) => controller.once("close", resolve));
await watched.stop();
client.close();
await daemon.stop();
await plane.stop();
place.remove();
