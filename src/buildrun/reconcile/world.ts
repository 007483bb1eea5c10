// Everything one decision is made from, read once: the run, its Builder, its turn, its job, and what the daemon
// remembers of it. Caches first; the daemon only for an attempt that no process holds.

import type {
  Agents,
  JobOutcome,
  Materials,
  Place,
  Recollection,
  SolveFailure,
} from "../../agent/agent.ts";
import { Sealed } from "../../agent/sealed.ts";
import type { Attempt, BuilderSpec, BuildRun } from "../../api/v1alpha1/index.ts";
import type { SolveRequest } from "../../buildkit/index.ts";
import type { BuilderRef, Fleet, Instance } from "../../builder/index.ts";
import { KilnError } from "../../errors/index.ts";
import { keyOf } from "../../kube/object.ts";
import { affinityKey } from "../../placement/choose.ts";
import { isTerminal, nextAttemptMs, openAttempt, type RunLimits, deadlineMs } from "./attempts.ts";
import { cover } from "../../placement/cover.ts";
import { namedRuns, type OtherRun, otherRun } from "./other-runs.ts";
import { isPartOf, type PartView } from "../parts/decide-parts.ts";
import { isPart } from "../parts/split.ts";
import { isFor } from "../plan/engine.ts";
import { planOf, type SolvePlan } from "../plan/plan.ts";
import type { QueueBook, Turn } from "../queue.ts";
import type { Solves } from "../solves.ts";
import type { WaitReason } from "./decide.ts";
import type { Progress } from "../status/progress.ts";
import { failureOf } from "../status/failure.ts";

/** The Builder a run would go to. */
export interface BuilderView {
  readonly ref: BuilderRef;
  /** Undefined while it cannot be read; it has no instances then. */
  readonly spec?: BuilderSpec;
  readonly instances: readonly Instance[];
  /** Set while it can't take work. */
  readonly notReady?: { readonly reason: string; readonly message: string };
}

/** The attempt's job as this process sees it. */
export type JobView =
  | { readonly state: "running"; readonly followed: boolean; readonly progress: Progress }
  | { readonly state: "finished"; readonly outcome: JobOutcome; readonly progress: Progress };

/** What a solve needs, read and sealed. */
export interface Prepared {
  readonly place: Place;
  readonly request: Omit<SolveRequest, "ref">;
  readonly materials: Sealed<Materials>;
  /** Sentences that help when a registry refuses: pull secrets that could not be used. */
  readonly hints: readonly string[];
}

/** A solve that could start, but for something of its own that is not there yet. */
export interface Unready {
  readonly why: WaitReason;
  readonly recheckMs: number;
}

/** What can be learnt of an attempt that nobody here holds. `gone`: its instance is, with all that it knew. */
export type Memory = Recollection | { readonly kind: "unreachable" } | { readonly kind: "gone" };

/** One snapshot. */
export interface RunWorld {
  readonly run: BuildRun;
  readonly now: Date;
  readonly limits: RunLimits;
  readonly plan: SolvePlan | SolveFailure;
  readonly builder?: BuilderView;
  /** Runs whose images are contexts of this one, by name. */
  readonly others?: ReadonlyMap<string, OtherRun>;
  /** Only for a run that could start now; a `go` holds a slot. */
  readonly turn?: Turn;
  readonly job?: JobView;
  /** For a run that no instance builds for alone: its platforms, in a group for each instance. */
  readonly groups?: readonly (readonly string[])[];
  /** Of a run that is split. */
  readonly parts?: readonly PartView[];
  /** For an open attempt without a job: what the daemon says, and how long this process has been asking. */
  readonly memory?: Memory;
  readonly orphanedMs?: number;
  /** Of an open attempt: its Builder is being deleted with `deletionPolicy: CancelRuns`. */
  readonly isEvicted?: boolean;
  /** Of an open attempt: its Builder drains, and the time for that is over. */
  readonly isOverdue?: boolean;
}

/** What `gather` reads from. */
export interface WorldSources {
  readonly fleet: Fleet;
  readonly book: QueueBook;
  readonly solves: Solves;
  readonly agents: Agents;
  readonly limits: RunLimits;
  /** All runs, by `namespace/name`. */
  readonly cache: { get(key: string): BuildRun | undefined };
  now(): Date;
}

/** The world of a run. Throws what the daemon's or API server's client throws when its signal fires. */
export async function gather(
  run: BuildRun,
  from: WorldSources,
  signal: AbortSignal,
): Promise<RunWorld> {
  const now = from.now();
  const base: RunWorld = { run, now, limits: from.limits, plan: planned(run) };
  if (isTerminal(run)) return base;
  const attempt = openAttempt(run);
  if (attempt !== undefined) {
    const job = await jobOf(run, attempt, from, signal);
    return { ...base, ...job, ...ending(run, attempt, from.fleet) };
  }
  const builder = builderView(run, from.fleet);
  const waiting = { ...base, ...othersOf(run, from.cache) };
  if (run.status?.parts !== undefined)
    return { ...waiting, parts: partViews(run, from), ...(builder && { builder }) };
  if (builder === undefined) return waiting;
  const groups = groupsOf(run, builder);
  if (groups !== undefined) return { ...waiting, builder, groups };
  const turn = turnOf(waiting, builder, from.book);
  if (turn.turn?.kind === "wait") from.fleet.demand(builder.ref);
  return { ...waiting, builder, ...turn };
}

function othersOf(run: BuildRun, cache: WorldSources["cache"]): Pick<RunWorld, "others"> {
  const names = namedRuns(run);
  if (names.length === 0) return {};
  const get = (name: string) => cache.get(`${run.metadata.namespace ?? ""}/${name}`);
  return { others: new Map(names.map((name) => [name, otherRun(run, name, get)])) };
}

/** The parts of a split run, each with its run. */
function partViews(run: BuildRun, { cache }: WorldSources): readonly PartView[] {
  return (run.status?.parts ?? []).map(({ run: name, platforms }) => {
    const found = cache.get(keyOf({ ...run.metadata, name }));
    return { run: name, platforms, ...(found && isPartOf(found, run) && { found }) };
  });
}

/** The platforms in groups when no instance has all of them; only before anything was started. */
function groupsOf(run: BuildRun, builder: BuilderView): RunWorld["groups"] {
  const { spec, status } = run;
  const isWhole = spec.call !== undefined || isPart(run) || (status?.attempts ?? []).length > 0;
  if (isWhole || spec.platforms.length < 2 || builder.notReady !== undefined) return undefined;
  // Most parts are pushed, so an engine that cannot push makes one only if there is nobody else; where that is in vain
  // the run is refused.
  const pushing = builder.instances.filter((one) => one.engine?.containerdStore !== false);
  return cover(spec.platforms, pushing) ?? cover(spec.platforms, builder.instances);
}

function planned(run: BuildRun): SolvePlan | SolveFailure {
  try {
    return planOf(run);
  } catch (error) {
    if (error instanceof KilnError) return failureOf(error);
    throw error;
  }
}

function builderView(run: BuildRun, fleet: Fleet): BuilderView | undefined {
  const ref = fleet.find(run.spec.builderRef, run.metadata.namespace ?? "");
  if (ref === undefined) return undefined;
  const notReady = fleet.notReadyReason(ref);
  const spec = fleet.spec(ref);
  return {
    ref,
    instances: fleet.instances(ref),
    ...(spec === undefined ? {} : { spec }),
    ...(notReady === undefined ? {} : { notReady }),
  };
}

function turnOf(world: RunWorld, builder: BuilderView, book: QueueBook): Pick<RunWorld, "turn"> {
  const { run, now } = world;
  const { metadata, spec } = run;
  const waits = nextAttemptMs(run) > now.getTime();
  const ends =
    spec.cancel || metadata.deletionTimestamp !== undefined || now.getTime() >= deadlineMs(run);
  // A run that waits for others stands in no queue, where it would be in the way.
  const others = [...(world.others?.values() ?? [])];
  if (others.some(({ kind }) => kind !== "ready")) return {};
  if (waits || ends || !("request" in world.plan)) return {};
  // Also while no instance is ready: what waits is what a Builder grows by.
  const affinity = affinityOf(run, builder.spec);
  const { request } = world.plan;
  // Where there is no other, the engine itself says what it cannot do.
  const fit = builder.instances.filter((one) => isFor(request, one, builder.spec));
  const instances = fit.length === 0 ? builder.instances : fit;
  return { turn: book.turn({ run, builder: builder.ref, instances, affinity }) };
}

/** Whether its Builder ends the attempt. */
function ending(
  run: BuildRun,
  { builder, instance }: Attempt,
  fleet: Fleet,
): Pick<RunWorld, "isEvicted" | "isOverdue"> {
  const ref = fleet.find(builder, run.metadata.namespace ?? "");
  if (ref === undefined) return {};
  return { isEvicted: fleet.cancelsRuns(ref), isOverdue: fleet.isOverdue(ref, instance) };
}

/** The key by which an instance is chosen: what runs with the same cache have in common, or nothing (Random). */
export function affinityOf(run: BuildRun, builder: BuilderSpec | undefined): string {
  const { metadata, spec } = run;
  const blocks = builder === undefined ? [] : [builder, ...builder.nodes];
  if (blocks.some(({ kubernetes }) => kubernetes?.loadBalance === "Random"))
    return metadata.uid ?? runKey(run);
  return affinityKey({
    repository: repositoryOf(run),
    target: spec.target,
    platforms: spec.platforms,
  });
}

/** What runs with the same cache have in common: the source, never its revision. */
function repositoryOf({ metadata, spec }: BuildRun): string {
  const { git, http, configMap } = spec.context;
  if (git !== undefined) return `${git.url}:${git.subdirectory ?? ""}`;
  if (http !== undefined) return http.url;
  if (configMap !== undefined) return `${metadata.namespace}/configmap/${configMap.name}`;
  const image = spec.outputs[0]?.image?.tags[0];
  return image?.replace(/:[^/:]*$/, "") ?? `${metadata.namespace}/inline`;
}

async function jobOf(
  run: BuildRun,
  attempt: Attempt,
  from: WorldSources,
  signal: AbortSignal,
): Promise<Pick<RunWorld, "job" | "memory" | "orphanedMs">> {
  const followed = from.solves.view(attempt.ref);
  if (followed?.state === "finished") return { job: followed };
  const isGone = from.solves.isBeside(attempt.ref) && isWithoutInstance(run, attempt, from.fleet);
  if (followed !== undefined && !isGone) return { job: followed };
  // Nothing more will come from an instance that is gone: not even the end of the connection, perhaps.
  if (followed !== undefined) from.solves.drop(attempt.ref);
  const found = await ask({ run, attempt, plan: planned(run) }, from, signal);
  if ("job" in found) return found;
  if (run.metadata.deletionTimestamp !== undefined) return {};
  const orphanedMs = from.now().getTime() - from.solves.orphanedSince(attempt.ref);
  return { ...found, orphanedMs };
}

/** Whether the Builder is there and has no such instance. A Builder that is gone leaves its pods to end in peace. */
function isWithoutInstance(run: BuildRun, { builder, instance }: Attempt, fleet: Fleet): boolean {
  const ref = fleet.find(builder, run.metadata.namespace ?? "");
  return ref !== undefined && !fleet.instances(ref).some(({ id }) => id === instance);
}

interface Orphan {
  readonly run: BuildRun;
  readonly attempt: Attempt;
  readonly plan: SolvePlan | SolveFailure;
}

/** The instance's agent is asked for the job, then its daemon for what it remembers. */
async function ask(
  { run, attempt, plan }: Orphan,
  from: WorldSources,
  signal: AbortSignal,
): Promise<{ readonly job: JobView } | { readonly memory: Memory }> {
  const { kind, name } = attempt.builder;
  const ref = from.fleet.find({ kind, name }, run.metadata.namespace ?? "");
  if (ref === undefined) return { memory: { kind: "unreachable" } };
  try {
    const place = await from.fleet.place(ref, attempt.instance, signal);
    const job = await from.solves.find(attempt.ref, place);
    if (job !== undefined) return { job };
    const nothing = { secrets: new Map(), logins: new Map(), sshKeys: [], trees: new Map() };
    const context = "request" in plan ? plan.request.frontendAttrs["context"] : undefined;
    const materials = new Sealed({ endpoint: place.endpoint, ...nothing });
    const question = { ref: attempt.ref, materials, ...(context && { context }) };
    return { memory: await from.agents.at(place).recall(question, signal) };
  } catch (error) {
    if (signal.aborted) throw error;
    if (!(error instanceof KilnError)) throw error;
    return { memory: { kind: error.reason === "InstanceGone" ? "gone" : "unreachable" } };
  }
}

/** The key that queue, book and log know the run by. */
export function runKey(run: BuildRun): string {
  return keyOf(run.metadata);
}
