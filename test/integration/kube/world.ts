// A real API server with a kind of our own, and a client of it.

import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { loadKubeConfig } from "../../../src/kube/http/credentials.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { kubeClient } from "../../../src/kube/rest.ts";
import type { OwnedClient } from "../../../src/kube/rest.ts";
import { KilnOperator } from "../../../src/kube/shell.ts";
import { namespaces, resourceType } from "../../../src/kube/types.ts";
import { controlPlane, waitFor } from "../../cluster/index.ts";
import type { ControlPlane } from "../../cluster/index.ts";

export interface Thing extends KubeObject {
  readonly spec?: { readonly value?: number; readonly other?: number };
  readonly status?: { readonly phase?: string; readonly note?: string };
}

export const things = resourceType<Thing>({
  apiVersion: "test.kiln.build/v1",
  kind: "Thing",
  plural: "things",
  namespaced: true,
});

export const silent = pino({ level: "silent" });

/** Path of the CRD of `things`. */
export const thingsCrd = fileURLToPath(new URL("things.yaml", import.meta.url));

export interface World {
  readonly plane: ControlPlane;
  readonly client: OwnedClient;
  /** Aborts a test's requests when they take far too long. */
  readonly signal: () => AbortSignal;
  /** A new namespace. */
  readonly namespace: (name: string) => Promise<string>;
  stop(): Promise<void>;
}

/** Starts an API server that serves `things`. */
export async function aWorld(): Promise<World> {
  const plane = await controlPlane();
  const config = loadKubeConfig(plane.kubeconfig);
  const client = kubeClient(config, { userAgent: "kiln-test" });
  const signal = (): AbortSignal => AbortSignal.timeout(60_000);
  const operator = new KilnOperator({ config, client, log: silent, init: async () => undefined });
  await operator.registerCustomResourceDefinition(thingsCrd);
  await until("the CRD is served", async () => {
    await client.list(things, {}, signal());
    return true;
  });
  return {
    plane,
    client,
    signal,
    namespace: async (name) => {
      await client.create(namespaces, { metadata: { name } }, signal());
      return name;
    },
    stop: async () => {
      client.close();
      await plane.stop();
    },
  };
}

/** Waits until `check` is true; throws after half a minute. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  deadlineMs = 30_000,
): Promise<void> {
  await waitFor(what, async () => ((await check()) ? true : undefined), { deadlineMs });
}
