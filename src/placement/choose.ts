// Which instance does this run go to? Rendezvous hashing keeps a repository on the instance that has
// its cache; a bound on the load keeps one busy repository from making one busy instance.

import { preference } from "./hash.ts";
import { missingPlatforms } from "./platform.ts";

/** What placement has to know of a buildkitd. */
export interface Candidate {
  readonly id: string;
  /** Whether a run may be sent there now. */
  readonly ready: boolean;
  /** On its way out: takes no new run, whatever `ready` says. */
  readonly terminating: boolean;
  /** Runs that may be there at once, at least 1. */
  readonly capacity: number;
  /** What it can build for; empty while nobody knows. */
  readonly platforms: readonly string[];
}

/** The question. */
export interface ChooseInput<T extends Candidate> {
  /** See `affinityKey`. */
  readonly key: string;
  readonly instances: readonly T[];
  /** Runs that are on an instance now, by its id. */
  readonly load: (id: string) => number;
  /** Platforms that the run asks for; none means the instance's own. */
  readonly platforms?: readonly string[];
  /** How far above its fair share an instance may go before runs spill to their next choice. */
  readonly slack?: number;
}

/** The answer: where to, or why nowhere yet. */
export type Choice<T extends Candidate> =
  | { readonly kind: "instance"; readonly instance: T }
  | { readonly kind: "wait"; readonly reason: WaitReason; readonly message: string };

/** Why a run can't be placed now. `PlatformNotSupported` does not mend by waiting for a slot. */
export type WaitReason = "NoInstance" | "NoReadyInstance" | "PlatformNotSupported" | "NoFreeSlot";

/** A quarter above the mean: the knee of cache hits against queueing (research, HAProxy's hash-balance-factor). */
const defaultSlack = 0.25;

/**
 * What runs have in common that makes them share a cache: repository, target and platforms; never a
 * branch or a commit, which share most of their layers.
 */
export function affinityKey(run: {
  readonly repository: string;
  readonly target?: string | undefined;
  readonly platforms?: readonly string[];
}): string {
  const platforms = [...(run.platforms ?? [])].sort().join(",");
  return JSON.stringify([run.repository, run.target ?? "", platforms]);
}

/**
 * Picks the instance for a run, or says why there is none.
 *
 * Never an instance that is terminating, unready, full or unable to build a platform of the run.
 * The same question always has the same answer; taking one of k instances away moves only the keys
 * that were on it (as long as no bound is hit).
 */
export function choose<T extends Candidate>(input: ChooseInput<T>): Choice<T> {
  const usable = input.instances.filter((instance) => instance.ready && !instance.terminating);
  if (usable.length === 0) return noneUsable(input.instances);

  const wanted = input.platforms ?? [];
  const able = usable.filter(
    (instance) => missingPlatforms(wanted, instance.platforms).length === 0,
  );
  if (able.length === 0) return noneAble(usable, wanted);

  const byId = new Map(able.map((instance) => [instance.id, instance]));
  const ordered = preference([...byId.keys()], input.key).flatMap((id) => byId.get(id) ?? []);
  const bound = boundOf(able, input.load, input.slack ?? defaultSlack);
  const chosen =
    ordered.find((instance) => input.load(instance.id) < bound(instance)) ??
    ordered.find((instance) => input.load(instance.id) < instance.capacity);
  return chosen === undefined ? noneFree(able) : { kind: "instance", instance: chosen };
}

/**
 * The most runs an instance may have before the next one is asked: its share of all runs plus slack,
 * but never under half its slots (an idle fleet should not scatter one repository's runs over cold
 * caches), and never over its slots.
 */
function boundOf<T extends Candidate>(
  instances: readonly T[],
  load: (id: string) => number,
  slack: number,
): (instance: T) => number {
  const runs = instances.reduce((sum, instance) => sum + load(instance.id), 0) + 1;
  const slots = instances.reduce((sum, instance) => sum + instance.capacity, 0);
  return ({ capacity }) => {
    const share = Math.ceil(((1 + slack) * runs * capacity) / slots);
    return Math.min(capacity, Math.max(share, Math.ceil(capacity / 2)));
  };
}

function noneUsable<T extends Candidate>(instances: readonly T[]): Choice<T> {
  if (instances.length === 0) {
    return { kind: "wait", reason: "NoInstance", message: "The Builder has no instance yet." };
  }
  const leaving = instances.filter((instance) => instance.terminating).length;
  const detail =
    leaving === 0 ? "" : `; ${leaving} of them ${leaving === 1 ? "is" : "are"} terminating`;
  const message = `None of the Builder's ${count(instances.length)} is ready${detail}.`;
  return { kind: "wait", reason: "NoReadyInstance", message };
}

function noneAble<T extends Candidate>(usable: readonly T[], wanted: readonly string[]): Choice<T> {
  const offered = [...new Set(usable.flatMap((instance) => instance.platforms))].sort();
  const missing = missingPlatforms(wanted, offered);
  const what = missing.length === 0 ? `${wanted.join(", ")} together` : missing.join(", ");
  const message = `No ready instance builds for ${what}; the Builder offers ${offered.join(", ") || "no platform"}.`;
  return { kind: "wait", reason: "PlatformNotSupported", message };
}

function noneFree<T extends Candidate>(able: readonly T[]): Choice<T> {
  const slots = able.reduce((sum, instance) => sum + instance.capacity, 0);
  const message = `All ${slots} slots of the Builder's ${count(able.length)} are taken.`;
  return { kind: "wait", reason: "NoFreeSlot", message };
}

function count(instances: number): string {
  return instances === 1 ? "one instance" : `${instances} instances`;
}
