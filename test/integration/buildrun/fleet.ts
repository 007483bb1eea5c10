// Builders as the run controller sees them, without the Builder slice: instances are what the test says.

import {
  type BuilderRef,
  builderKey,
  type Fleet,
  type Instance,
  type NotReady,
} from "../../../src/builder/index.ts";
import { registryFacts } from "../../../src/builder/remote/registries.ts";
import type { SecretReader } from "../../../src/builder/remote/secrets.ts";
import type { Place } from "../../../src/agent/agent.ts";
import type { BuilderSpec } from "../../../src/api/v1alpha1/index.ts";
import type { Endpoint } from "../../../src/buildkit/rpc/endpoint.ts";
import { KilnError } from "../../../src/errors/index.ts";

/** One Builder of a test. */
export interface TestBuilder {
  instances: (Instance & { endpoint: Endpoint })[];
  notReady?: NotReady | undefined;
  spec?: BuilderSpec;
  /** Reads Secrets that the spec names. */
  reader?: SecretReader;
}

/** Honours everything of `Fleet`. */
export class TestFleet implements Fleet {
  /** Whether its Builder is being deleted, and cancels its runs. */
  cancels = false;
  /** Whether the time of its runs is over. */
  overdue = false;
  readonly #builders = new Map<string, TestBuilder>();
  readonly #listeners = new Set<(ref: BuilderRef) => void>();
  running: (ref: BuilderRef, instance: string) => { readonly running: number } = () => ({
    running: 0,
  });

  /** Adds or replaces a Builder, and rings. */
  set(ref: BuilderRef, builder: TestBuilder | undefined): void {
    if (builder === undefined) this.#builders.delete(builderKey(ref));
    else this.#builders.set(builderKey(ref), builder);
    for (const listener of this.#listeners) listener(ref);
  }

  find(
    ref: { readonly kind?: BuilderRef["kind"]; readonly name?: string } | undefined,
    namespace: string,
  ) {
    const name = ref?.name ?? "default";
    const own: BuilderRef = { kind: "Builder", namespace, name };
    const shared: BuilderRef = { kind: "ClusterBuilder", name };
    const wanted =
      ref?.kind === "ClusterBuilder" ? [shared] : ref === undefined ? [own, shared] : [own];
    return wanted.find((candidate) => this.#builders.has(builderKey(candidate)));
  }

  spec(ref: BuilderRef): BuilderSpec | undefined {
    return this.#builders.get(builderKey(ref))?.spec;
  }

  notReadyReason(ref: BuilderRef): NotReady | undefined {
    return this.#builders.get(builderKey(ref))?.notReady;
  }

  instances(ref: BuilderRef): Instance[] {
    return this.#builders.get(builderKey(ref))?.instances ?? [];
  }

  async place(ref: BuilderRef, instanceId: string): Promise<Place> {
    const instance = this.#builders
      .get(builderKey(ref))
      ?.instances.find(({ id }) => id === instanceId);
    if (instance !== undefined) return { kind: "daemon", endpoint: instance.endpoint };
    const message = `Instance ${instanceId} is gone.`;
    throw new KilnError({ class: "Builder", reason: "InstanceGone", message, retryable: true });
  }

  async registries(ref: BuilderRef, hosts: ReadonlySet<string>, signal: AbortSignal) {
    const { spec = {}, reader } = this.#builders.get(builderKey(ref)) ?? {};
    if (reader !== undefined) return await registryFacts(spec, hosts, reader, signal);
    return { authorities: new Map<string, string>(), insecureRegistries: new Set<string>() };
  }

  demand(): void {}

  cancelsRuns(): boolean {
    return this.cancels;
  }

  isOverdue(): boolean {
    return this.overdue;
  }

  onChange(listener: (ref: BuilderRef) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  reportLoad(running: typeof this.running): void {
    this.running = running;
  }
}

/** An instance at an endpoint. */
export function instanceAt(endpoint: Endpoint, over: Partial<Instance> = {}) {
  return {
    id: "remote-0",
    ready: true,
    platforms: ["linux/amd64"],
    version: "v0.34.2",
    capacity: 4,
    terminating: false,
    endpoint,
    ...over,
  };
}
