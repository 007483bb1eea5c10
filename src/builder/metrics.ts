// What do the instances of all Builders tell Prometheus? The numbers of their status, read when they are scraped.

import { Gauge } from "prom-client";
import type { Registry } from "prom-client";
import type { BuilderInstanceStatus, BuilderStatus } from "../api/v1alpha1/index.ts";
import type { StoredBuilder } from "./caches.ts";
import { refOf } from "./caches.ts";

type Labels = Record<"kind" | "namespace" | "builder" | "instance", string>;

const labelNames = ["kind", "namespace", "builder", "instance"] as const;

/** Name, help, and the number; an instance of which it is not known is left out. */
const gauges: readonly (readonly [
  name: string,
  help: string,
  read: (of: BuilderInstanceStatus) => number | undefined,
])[] = [
  ["ready", "Whether the instance takes runs.", ({ ready }) => Number(ready)],
  ["slots", "Runs that the instance builds at once at most.", ({ slots }) => slots],
  ["running", "Runs that the instance builds.", ({ running }) => running],
  ["queued", "Runs that wait and would go to the instance first.", ({ queued }) => queued],
  ["disk_bytes", "Bytes of the instance's volume.", ({ disk }) => disk?.volumeBytes],
  ["disk_free_bytes", "Bytes of the volume that are free.", ({ disk }) => disk?.freeBytes],
];

/** Registers them once. `list` gives the Builders to tell of: none unless this process leads. */
export function instanceMetrics(registry: Registry, list: () => readonly StoredBuilder[]): void {
  for (const [name, help, read] of gauges) {
    const gauge = new Gauge({
      name: `kiln_instance_${name}`,
      help,
      labelNames,
      registers: [registry],
      collect: () => {
        gauge.reset();
        for (const { labels, instance } of list().flatMap(instancesOf)) {
          const value = read(instance);
          if (value !== undefined) gauge.set(labels, value);
        }
      },
    });
  }
}

function instancesOf(object: StoredBuilder) {
  const { kind, namespace = "", name } = refOf(object);
  const status = object.status as BuilderStatus | undefined;
  return (status?.instances ?? []).map((instance) => {
    const labels: Labels = { kind, namespace, builder: name, instance: instance.name };
    return { labels, instance };
  });
}
