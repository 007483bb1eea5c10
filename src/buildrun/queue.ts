// Who runs where and who waits: one book for all Builders, kept from what the API server says and from slots this
// process has just given out. It answers in one synchronous call, so two reconciles can't be given the same slot.

import type { BuildRun } from "../api/v1alpha1/index.ts";
import { type BuilderRef, builderKey, type Instance } from "../builder/index.ts";
import { keyOf } from "../kube/object.ts";
import { choose } from "../placement/choose.ts";
import { preference } from "../placement/hash.ts";
import { missingPlatforms } from "../placement/platform.ts";
import { order, type QueuedRun } from "../placement/order.ts";
import { isTerminal, openAttempt } from "./reconcile/attempts.ts";

/** Whether it is a run's turn. `go` holds the slot until `release`, or until the attempt ends. */
export type Turn =
  | { readonly kind: "go"; readonly instance: string }
  | {
      readonly kind: "wait";
      readonly ahead: number;
      readonly reason: string;
      readonly message: string;
    };

/** What a turn is asked for. */
export interface TurnRequest {
  readonly run: BuildRun;
  readonly builder: BuilderRef;
  readonly instances: readonly Instance[];
  /** See `affinityKey` of placement. */
  readonly affinity: string;
}

interface Slot {
  readonly builder: string;
  readonly instance: string;
  /** Backed by an attempt in the API server; otherwise just given out by `turn`. */
  readonly recorded: boolean;
}

interface Waiting extends QueuedRun {
  readonly builder: string;
  readonly platforms: readonly string[];
  readonly affinity: string;
}

/** So far into the queue it is looked for runs of other platforms than those of the first. */
const lookedAt = 256;

/** The queue of every Builder. Keys are `namespace/name` of runs. */
export class QueueBook {
  readonly #waiting = new Map<string, Waiting>();
  readonly #slots = new Map<string, Slot>();
  readonly #ordered = new Map<string, Waiting[]>();

  readonly #onFree: (builder: string) => void;

  /** `onFree` is called with a Builder's key whenever one of its slots becomes free. */
  constructor(onFree: (builder: string) => void = () => undefined) {
    this.#onFree = onFree;
  }

  /** Takes note of the newest known state of a run. */
  observe(run: BuildRun): void {
    const key = keyOf(run.metadata);
    const attempt = openAttempt(run);
    if (isTerminal(run)) {
      this.forget(key);
    } else if (attempt !== undefined) {
      this.#unwait(key);
      const builder = builderKey(attemptBuilder(run, attempt.builder));
      this.#slots.set(key, { builder, instance: attempt.instance, recorded: true });
    } else if (this.#slots.get(key)?.recorded === true) {
      this.release(key);
    }
  }

  /** Whether it is this run's turn; when it is, the slot is taken in the same breath. Asking again gives the same slot. */
  turn({ run, builder, instances, affinity }: TurnRequest): Turn {
    const key = keyOf(run.metadata);
    const id = builderKey(builder);
    const held = this.#slots.get(key);
    if (held?.builder === id) return { kind: "go", instance: held.instance };
    this.release(key);
    this.#wait(key, { builder: id, run, affinity });
    const queue = this.#queueOf(id);
    const ahead = queue.findIndex((waiting) => waiting.key === key);
    const load = (instance: string): number => this.running(builder, instance);
    const mine = ableFor(run.spec.platforms, instances);
    const free = mine.reduce((sum, { id, capacity }) => sum + Math.max(0, capacity - load(id)), 0);
    if (free > 0 && hasRivals(queue.slice(0, ahead), { mine, instances, most: free })) {
      return {
        kind: "wait",
        ahead,
        reason: "NotNext",
        message: `${ahead} older ${ahead === 1 ? "run is" : "runs are"} to start first.`,
      };
    }
    const choice = this.#choose(run, instances, affinity, load);
    if (choice.kind === "wait") return { ...choice, ahead };
    this.#unwait(key);
    this.#slots.set(key, { builder: id, instance: choice.instance.id, recorded: false });
    return { kind: "go", instance: choice.instance.id };
  }

  /** Gives back a slot. The run keeps its age, and with it its place in the queue when it asks again. */
  release(key: string): void {
    const slot = this.#slots.get(key);
    this.#slots.delete(key);
    if (slot !== undefined) this.#onFree(slot.builder);
  }

  /** The run needs nothing any more. */
  forget(key: string): void {
    this.#unwait(key);
    this.release(key);
  }

  /** Runs on an instance: attempts under way and slots just given out. */
  running(builder: BuilderRef, instance: string): number {
    const id = builderKey(builder);
    let count = 0;
    for (const slot of this.#slots.values())
      if (slot.instance === instance && slot.builder === id) count += 1;
    return count;
  }

  /** Of the runs that wait for a Builder: the platforms of each, oldest first. */
  waiting(builder: BuilderRef): (readonly string[])[] {
    return this.#queueOf(builderKey(builder)).map(({ platforms }) => platforms);
  }

  /**
   * How many of the runs that wait would go to each instance first, if all had a free slot: the one that has their
   * cache. A run counts once, and for none while there is no instance that could take it.
   */
  queuedAt(builder: BuilderRef, instances: readonly Instance[]): ReadonlyMap<string, number> {
    const firsts = new Map<string, string | undefined>();
    const counts = new Map<string, number>();
    for (const { platforms, affinity } of this.#queueOf(builderKey(builder))) {
      const kind = `${affinity} ${platforms.join()}`;
      if (!firsts.has(kind)) {
        const ids = ableFor(platforms, instances).map(({ id }) => id);
        firsts.set(kind, preference(ids, affinity)[0]);
      }
      const first = firsts.get(kind);
      if (first !== undefined) counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    return counts;
  }

  /**
   * Whom to ring when slots of a Builder (by `builderKey`) are free, oldest first: the next `count` runs in line, for
   * each of the platforms that runs wait for.
   */
  next(builder: string, count: number): string[] {
    const rung = new Map<string, number>();
    const first = this.#queueOf(builder).slice(0, Math.max(count, lookedAt));
    return first.flatMap(({ key, platforms }) => {
      const kind = platforms.join();
      const before = rung.get(kind) ?? 0;
      rung.set(kind, before + 1);
      return before < count ? [key] : [];
    });
  }

  // A platform that no instance offers is not a reason to wait: a Dockerfile that only copies, or cross-compiles, builds
  // for it without running anything on it. If it does run something, BuildKit's own error says so. An instance that
  // offers it and is not ready yet is waited for.
  #choose(
    run: BuildRun,
    instances: readonly Instance[],
    key: string,
    load: (id: string) => number,
  ) {
    const choice = choose({ key, instances, load, platforms: run.spec.platforms });
    if (choice.kind !== "wait" || choice.reason !== "PlatformNotSupported") return choice;
    const coming = instances.find(
      ({ terminating, platforms }) =>
        !terminating && missingPlatforms(run.spec.platforms, platforms).length === 0,
    );
    if (coming === undefined) return choose({ key, instances, load });
    const { reason = "Starting", message = "" } = coming;
    const what = `What builds for ${run.spec.platforms.join(", ")} is not ready yet (${reason})`;
    return { ...choice, reason: "NoReadyInstance", message: `${what}: ${message}` };
  }

  #wait(
    key: string,
    { builder, run, affinity }: Pick<Waiting, "builder" | "affinity"> & { readonly run: BuildRun },
  ): void {
    if (this.#waiting.get(key)?.builder === builder) return;
    this.#unwait(key);
    const createdAtMs = Date.parse(run.metadata.creationTimestamp ?? "") || 0;
    const waiting = { key, createdAtMs, builder, affinity, platforms: run.spec.platforms };
    this.#waiting.set(key, waiting);
    // New runs are nearly always the youngest: look for the place from the end.
    const queue = this.#ordered.get(builder);
    if (queue === undefined) return;
    const before = queue.findLastIndex((other) => order([waiting, other])[0] === other);
    queue.splice(before + 1, 0, waiting);
  }

  #unwait(key: string): void {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    this.#waiting.delete(key);
    const queue = this.#ordered.get(waiting.builder);
    const index = queue?.indexOf(waiting) ?? -1;
    if (index >= 0) queue?.splice(index, 1);
  }

  #queueOf(builder: string): Waiting[] {
    const known = this.#ordered.get(builder);
    if (known !== undefined) return known;
    const queue = order(
      [...this.#waiting.values()].filter((waiting) => waiting.builder === builder),
    );
    this.#ordered.set(builder, queue);
    return queue;
  }
}

/**
 * The instances that a run for these platforms could be given now. A platform that none offers, or will offer, is no
 * reason to wait: then any.
 */
function ableFor(platforms: readonly string[], instances: readonly Instance[]): Instance[] {
  const there = instances.filter(({ terminating }) => !terminating);
  const able = there.filter((one) => missingPlatforms(platforms, one.platforms).length === 0);
  return (able.length === 0 ? there : able).filter(({ ready }) => ready);
}

interface Contest {
  readonly mine: readonly Instance[];
  readonly instances: readonly Instance[];
  readonly most: number;
}

/** Whether at least `most` of the older runs could take one of the instances that this one could. */
function hasRivals(older: readonly Waiting[], { mine, instances, most }: Contest): boolean {
  const known = new Map<string, boolean>();
  let rivals = 0;
  for (const { platforms } of older) {
    const kind = platforms.join();
    const meets =
      known.get(kind) ?? ableFor(platforms, instances).some((one) => mine.includes(one));
    known.set(kind, meets);
    if (meets) rivals += 1;
    if (rivals >= most) return true;
  }
  return false;
}

function attemptBuilder(
  run: BuildRun,
  { kind, name }: { readonly kind: BuilderRef["kind"]; readonly name: string },
): BuilderRef {
  const namespace = run.metadata.namespace;
  return kind === "Builder" && namespace !== undefined ? { kind, namespace, name } : { kind, name };
}
