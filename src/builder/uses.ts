// Which instances were used, and when did runs start? What placement does to a Builder, remembered until its next look. In
// memory only: what has to outlive the controller is on the pods and in status, and recalled from there.

import { type BuilderRef, builderKey } from "./instance.ts";

/** Starts that are remembered of a Builder. */
const startsKept = 32;

/** All Builders' uses. */
export class Uses {
  readonly #spent = new Map<string, Set<string>>();
  readonly #starts = new Map<string, number[]>();
  readonly #recalled = new Set<string>();

  /** A run starts, at `nowMs` since the epoch. `spends`: on an instance that it is to have for itself. */
  start(
    ref: BuilderRef,
    id: string,
    { nowMs, spends }: { readonly nowMs: number; readonly spends: boolean },
  ): void {
    const key = builderKey(ref);
    this.#starts.set(key, [...(this.#starts.get(key) ?? []), nowMs].slice(-startsKept));
    if (spends) this.#spent.set(key, new Set([...(this.#spent.get(key) ?? []), id]));
  }

  /** Starts that an earlier process wrote down, oldest first. Only the first call for a Builder counts. */
  recall(ref: BuilderRef, starts: readonly number[]): void {
    const key = builderKey(ref);
    if (this.#recalled.has(key)) return;
    this.#recalled.add(key);
    const own = this.#starts.get(key) ?? [];
    const before = starts.filter((at) => at < (own[0] ?? Number.POSITIVE_INFINITY));
    this.#starts.set(key, [...before, ...own].slice(-startsKept));
  }

  /** Instances that were given the one run that they are for. */
  spent(ref: BuilderRef): ReadonlySet<string> {
    return this.#spent.get(builderKey(ref)) ?? new Set();
  }

  /** When the last runs started, oldest first. */
  starts(ref: BuilderRef): readonly number[] {
    return this.#starts.get(builderKey(ref)) ?? [];
  }

  /** Forgets spent instances but for these, which are there. */
  keep(ref: BuilderRef, ids: readonly string[]): void {
    const kept = ids.filter((id) => this.spent(ref).has(id));
    if (kept.length === 0) this.#spent.delete(builderKey(ref));
    else this.#spent.set(builderKey(ref), new Set(kept));
  }

  /** The Builder is gone. */
  forget(ref: BuilderRef): void {
    this.#spent.delete(builderKey(ref));
    this.#starts.delete(builderKey(ref));
    this.#recalled.delete(builderKey(ref));
  }
}
