// How long does a cold instance take: from the moment when it is asked for until BuildKit answers Kiln, image present? Asks
// a Builder without instances for one, again and again, and tells where the time goes.
//   KUBECONFIG=… node bench/cold-start.ts [rounds] [security]       default 10 Privileged; Kiln runs in the cluster

import { setTimeout as pause } from "node:timers/promises";
import type { BuilderStatus } from "../src/api/v1alpha1/index.ts";
import { builders, type StoredBuilder } from "../src/builder/caches.ts";
import { kilnContainers } from "../src/builder/kubernetes/containers.ts";
import { prewarmAnnotation } from "../src/builder/names.ts";
import { ResourceCache } from "../src/kube/cache.ts";
import { loadKubeConfig } from "../src/kube/http/credentials.ts";
import { kubeClient } from "../src/kube/rest.ts";
import { namespaces, type Pod, pods } from "../src/kube/types.ts";
import { rootLogger } from "../src/log.ts";

const rounds = Number(process.argv[2] ?? 10);
const security = (process.argv[3] ?? "Privileged") as "Privileged";
const namespace = `cold-start-${process.pid}`;
const never = new AbortController().signal;
const log = rootLogger("error");
const client = kubeClient(loadKubeConfig(process.env["KUBECONFIG"]));

/** What is waited for, in the order in which it comes. */
const marks = ["pod", "scheduled", "buildkitd", "agent", "ready"] as const;
type Mark = (typeof marks)[number];

let seen = new Map<Mark, number>();

/** Notes when something was first seen. */
function note(mark: Mark): void {
  if (!seen.has(mark)) seen.set(mark, performance.now());
}

function notePod(pod: Pod): void {
  if (pod.metadata.deletionTimestamp !== undefined) return;
  note("pod");
  if (pod.spec?.nodeName !== undefined) note("scheduled");
  const { buildkitd, agent } = kilnContainers(pod);
  if (buildkitd?.state?.running !== undefined) note("buildkitd");
  if (agent?.state?.running !== undefined) note("agent");
}

/** Applies the Builder, which asks for `count` instances beforehand. */
async function prewarm(count: number): Promise<void> {
  const scaling = { min: 0, max: 1, idleTimeout: "1s" };
  const annotations = { [prewarmAnnotation]: String(count) };
  const builder = {
    metadata: { namespace, name: "cold", annotations },
    spec: { kubernetes: { security, scaling, drainTimeout: "1s" } },
  };
  await client.apply(builders, builder, { fieldManager: "bench" }, never);
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 120_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await pause(5);
  }
}

function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
}

const builderCache = new ResourceCache<StoredBuilder>({ client, type: builders, log });
const podCache = new ResourceCache<Pod>({
  client,
  type: pods,
  log,
  labelSelector: "kiln.build/builder=cold",
});
const statusOf = (): BuilderStatus | undefined =>
  builderCache.get(`${namespace}/cold`)?.status as BuilderStatus | undefined;
podCache.onChange(({ type, object }) => {
  if (type !== "Deleted" && object.metadata.namespace === namespace) notePod(object);
});
builderCache.onChange(() => {
  if ((statusOf()?.readyInstances ?? 0) > 0) note("ready");
});

const labels = { "pod-security.kubernetes.io/enforce": "privileged" };
await client.create(namespaces, { metadata: { name: namespace, labels } }, never);
const steps = new Map<Mark, number[]>(marks.map((mark) => [mark, []]));
const totals: number[] = [];
try {
  builderCache.start();
  podCache.start();
  await Promise.all([builderCache.synced, podCache.synced]);
  for (let round = 0; round <= rounds; round++) {
    await prewarm(0);
    await until("no instance", () => podCache.list(namespace).length === 0);
    seen = new Map();
    const begin = performance.now();
    await prewarm(1);
    await until("a ready instance", () => seen.has("ready"));
    // The first round may pull the image.
    if (round === 0) continue;
    let last = begin;
    for (const mark of marks) {
      const at = seen.get(mark) ?? last;
      steps.get(mark)?.push(Math.max(0, at - last));
      last = Math.max(last, at);
    }
    totals.push(last - begin);
    process.stdout.write(`round ${round}: ${Math.round(last - begin)} ms\n`);
  }
  for (const [mark, samples] of steps)
    process.stdout.write(`until ${mark.padEnd(10)} median ${Math.round(median(samples))} ms\n`);
  const worst = Math.round(Math.max(...totals));
  process.stdout.write(
    `asked → Ready     median ${Math.round(median(totals))} ms, most ${worst} ms\n`,
  );
} finally {
  await client.delete(namespaces, { name: namespace }, never);
  await Promise.all([builderCache.stop(), podCache.stop()]);
  client.close();
}
