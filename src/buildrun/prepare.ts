// From a plan to a job that can be sent: endpoint and credentials are read and sealed.

import type { SolveFailure } from "../agent/agent.ts";
import { placeAttr, placeOf as placeAt } from "../agent/outputs/places.ts";
import { Sealed } from "../agent/sealed.ts";
import type { BuildRun } from "../api/v1alpha1/index.ts";
import type { SolveRequest } from "../buildkit/index.ts";
import type { Fleet } from "../builder/index.ts";
import { KilnError } from "../errors/index.ts";
import type { KubeClient } from "../kube/client.ts";
import { accountOf, type Credentials, readCredentials } from "./credentials.ts";
import { withBuilderId } from "./plan/attest-attrs.ts";
import { forEngine } from "./plan/engine.ts";
import { withDefaultLoad } from "./plan/load.ts";
import { knownHostsRule } from "./plan/source-rules.ts";
import type { SolvePlan } from "./plan/plan.ts";
import type { ClaimWriters } from "./places/writers.ts";
import { refOf } from "./reconcile/attempts.ts";
import { registryTrust } from "./trust.ts";
import { failureOf } from "./status/failure.ts";
import type { BuilderView, Prepared, RunWorld, Unready } from "./reconcile/world.ts";

/** Where to read from. */
export interface PrepareSources {
  readonly client: KubeClient;
  readonly fleet: Fleet;
  readonly writers: ClaimWriters;
}

/** Reads only what the run names in the cluster, to find out early what is missing. */
export async function rehearse(
  run: BuildRun,
  plan: SolvePlan,
  from: PrepareSources,
  signal: AbortSignal,
): Promise<SolveFailure | undefined> {
  const result = await attempted(() =>
    readCredentials(plan.needs, accountOf(run), from.client, signal),
  );
  return "reason" in result ? result : undefined;
}

/** Everything for a solve on one instance, or why not. API and network trouble is thrown, not returned. */
export async function prepare(
  run: BuildRun,
  {
    plan,
    builder,
    instance,
    others,
    number,
  }: {
    readonly plan: SolvePlan;
    readonly builder: BuilderView;
    readonly instance: string;
    readonly others: RunWorld["others"];
    readonly number: number;
  },
  from: PrepareSources & { readonly signal: AbortSignal },
): Promise<Prepared | Unready | SolveFailure> {
  return await attempted(async () => {
    const [credentials, place] = await Promise.all([
      readCredentials(plan.needs, accountOf(run), from.client, from.signal),
      from.fleet.place(builder.ref, instance, from.signal),
    ]);
    const writer = await from.writers.ready(run, refOf(run, number), from.signal);
    if (writer?.kind === "starting") return podStarting(writer.message);
    const { hints, knownHosts: _, attrs, ...read } = credentials;
    const { endpoint, engine: store } = place;
    const hidden = [...read.hidden, ...(writer?.hidden ?? [])];
    const job = { ref: builder.ref, request: plan.request };
    const trust = await registryTrust(job, credentials, from.fleet, from.signal);
    const own = { ...read, ...trust, hidden };
    const materials = new Sealed({ endpoint, ...own, ...(store && { engine: store }) });
    const request = withKnownHosts(plan, credentials);
    // What comes from the cluster never replaces what the plan says: options of a frontend may have any name.
    const ofPart = { ...attrs, ...request.frontendAttrs, ...imagesOf(plan, others) };
    const frontendAttrs = withBuilderId(ofPart, builderId(builder.ref));
    const { engine, ...more } = builder.instances.find(({ id }) => id === instance) ?? {};
    const exporters = withAddress(request.exporters, writer?.address);
    const asked = { ...request, frontendAttrs, exporters };
    const ofInstance = engine
      ? forEngine(asked, engine)
      : withDefaultLoad(asked, builder.spec, more);
    return { place, request: ofInstance, materials, hints };
  });
}

/** A pod is there in a few seconds, and its node has its image in a minute. */
const podRecheckMs = 500;

function podStarting(message: string): Unready {
  const why = { phase: "Queued", reason: "OutputPodStarting", message, stalled: false } as const;
  return { why, recheckMs: podRecheckMs };
}

/** Outputs onto volumes, with the address of the pod that writes them. */
function withAddress(
  exporters: SolveRequest["exporters"],
  address: string | undefined,
): SolveRequest["exporters"] {
  if (address === undefined) return exporters;
  return exporters.map(({ type, attrs }) => {
    const { [placeAttr]: dest } = attrs;
    const place = dest === undefined ? undefined : placeAt(dest);
    if (place?.kind !== "persistentVolumeClaim") return { type, attrs };
    return { type, attrs: { ...attrs, [placeAttr]: JSON.stringify({ ...place, address }) } };
  });
}

/** Contexts that are images of other runs, which the claim has seen to be there. */
function imagesOf({ needs }: SolvePlan, others: RunWorld["others"]): Record<string, string> {
  return Object.fromEntries(
    needs.runs.flatMap(({ attr, name }) => {
      const other = others?.get(name);
      return other?.kind === "ready" ? [[attr, `docker-image://${other.ref}`] as const] : [];
    }),
  );
}

async function attempted<T extends object>(read: () => Promise<T>): Promise<T | SolveFailure> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof KilnError) return failureOf(error);
    throw error;
  }
}

function withKnownHosts(plan: SolvePlan, { knownHosts }: Credentials): Omit<SolveRequest, "ref"> {
  const { request, needs } = plan;
  const known = needs.gits.flatMap((need) => {
    const hosts = knownHosts.get(need.secretName);
    return hosts === undefined ? [] : [knownHostsRule(need, hosts)];
  });
  if (known.length === 0) return request;
  return {
    ...request,
    sourcePolicy: { rules: [...(request.sourcePolicy?.rules ?? []), ...known] },
  };
}

/** Who built it, in the words of SLSA: a builder of this cluster, whatever the run says. */
function builderId({ kind, namespace, name }: BuilderView["ref"]): string {
  return kind === "ClusterBuilder"
    ? `https://kiln.build/clusterbuilders/${name}`
    : `https://kiln.build/namespaces/${namespace}/builders/${name}`;
}
