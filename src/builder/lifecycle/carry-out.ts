// Carries out what the plan of a fleet says about its instances: marks pods, and tells agents to take nothing more or to
// let go of what runs. An instance that still has jobs when its agent is asked does not go.

import type { Logger } from "pino";
import { RemoteAgent } from "../../agent/wire/remote.ts";
import type { KubeClient } from "../../kube/client.ts";
import { isApiError } from "../../kube/errors.ts";
import { type Pod, pods } from "../../kube/types.ts";
import { asError } from "../../runtime/clock.ts";
import { runningPod } from "../health/facts.ts";
import { podPlace, type TargetDeps } from "../health/targets.ts";
import { deletionCostAnnotation, drainingAnnotation } from "../names.ts";
import type { BuilderWorld } from "../reconcile/world.ts";
import { type FleetPlan, type FleetState, type LeaveReason, planFleet } from "./plan.ts";

/** What carrying out needs. */
export interface CarryOutDeps extends TargetDeps {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly now: () => Date;
}

/** Its own, so that the annotations of a drain can be taken back without a word about anything else. */
const fieldManager = "kiln-lifecycle";
/** Any number below 0, which pods have that do not drain. */
const drainingCost = "-1000";
/** A fence or a cut that takes longer is tried again with the next look. */
const commandMs = 5_000;

/**
 * Does all but the change of `replicas`, which the caller writes with the workload. Resolves to what `replicas` may be
 * now. An agent that does not answer keeps its instance until the next look.
 */
export async function carryOut(
  world: BuilderWorld,
  fleet: FleetState,
  deps: CarryOutDeps,
  signal: AbortSignal,
): Promise<number> {
  const plan = planFleet(fleet);
  const pod = (id: string): Pod | undefined => podOf(world, id);
  const at = { world, deps, signal };
  for (const { id, why } of plan.drain) await mark(pod(id), why, at);
  for (const id of plan.resume) await mark(pod(id), undefined, at);
  for (const id of plan.cut) await command(pod(id), "cut", at);
  const settled = await fenced(fleet, plan, async (id) => await command(pod(id), "drain", at));
  for (const id of settled.remove) await remove(pod(id), at);
  return settled.replicas;
}

/** Ends runs whose time is up, as lost: all that is done of a plan while the Builder is being deleted. */
export async function cutLate(
  world: BuilderWorld,
  fleet: FleetState,
  deps: CarryOutDeps,
  signal: AbortSignal,
): Promise<void> {
  for (const id of planFleet(fleet).cut)
    await command(podOf(world, id), "cut", { world, deps, signal });
}

function podOf({ owned }: BuilderWorld, id: string): Pod | undefined {
  return owned.pods.find(({ metadata }) => metadata.name === id);
}

/** The plan without the instances that turned out to have jobs, or could not be asked though they are up. */
async function fenced(
  fleet: FleetState,
  plan: FleetPlan,
  fence: (id: string) => Promise<readonly string[] | undefined>,
): Promise<FleetPlan> {
  const busy = new Set<string>();
  for (const id of plan.leave) {
    if (fleet.members.find((member) => member.id === id)?.up !== true) continue;
    const running = await fence(id);
    if (running === undefined || running.length > 0) busy.add(id);
  }
  if (busy.size === 0) return plan;
  const members = fleet.members.map((member) =>
    busy.has(member.id) ? { ...member, running: Math.max(1, member.running) } : member,
  );
  const without = planFleet({ ...fleet, members });
  return { ...without, remove: without.remove.filter((id) => plan.remove.includes(id)) };
}

interface At {
  readonly world: BuilderWorld;
  readonly deps: CarryOutDeps;
  readonly signal: AbortSignal;
}

async function mark(
  pod: Pod | undefined,
  why: LeaveReason | undefined,
  { deps, signal }: At,
): Promise<void> {
  if (pod === undefined) return;
  const { name, namespace, uid } = pod.metadata;
  const annotations =
    why === undefined
      ? undefined
      : {
          [drainingAnnotation]: `${why} ${deps.now().toISOString()}`,
          [deletionCostAnnotation]: drainingCost,
        };
  const metadata = { name, namespace, uid, ...(annotations === undefined ? {} : { annotations }) };
  await unlessGone(deps.client.apply(pods, { metadata }, { fieldManager }, signal));
  const text = why === undefined ? "instance takes runs again" : "instance takes no new run";
  deps.log.info({ instance: name, why }, text);
}

/** The refs that the agent names; undefined when it did not answer. */
async function command(
  pod: Pod | undefined,
  what: "cut" | "drain",
  { world, deps, signal }: At,
): Promise<readonly string[] | undefined> {
  const running = pod && runningPod(pod);
  if (pod === undefined || running === undefined) return undefined;
  const place = await podPlace(world.ref, running.host, deps, signal);
  if (place.endpoint.kind !== "tcp") return undefined;
  const agent = new RemoteAgent(place.endpoint);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(commandMs)]);
  try {
    const refs = await agent[what](limit);
    if (refs.length > 0) deps.log.info({ instance: pod.metadata.name, refs }, `told to ${what}`);
    return refs;
  } catch (error) {
    const about = { instance: pod.metadata.name, err: asError(error) };
    deps.log.info(about, `the agent was not told to ${what}`);
    return undefined;
  } finally {
    agent.close();
  }
}

async function remove(pod: Pod | undefined, { deps, signal }: At): Promise<void> {
  if (pod === undefined) return;
  const { name, namespace, uid } = pod.metadata;
  await unlessGone(deps.client.delete(pods, { name, namespace, uid }, signal));
  deps.log.info({ instance: name }, "deleted an instance to be replaced");
}

/** Another pod of that name, or none, has nothing to do with what was decided. */
async function unlessGone(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!isApiError(error, "NotFound", "Conflict")) throw error;
  }
}
