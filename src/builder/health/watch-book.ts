// Who is looked after, each on its own, by Builder and instance: one that stays the same goes on, another one begins anew.

/** Something to look after. */
export interface WatchTarget {
  /** The instance's id. */
  readonly id: string;
  /** Changes when it is another one, or must be reached differently. */
  readonly identity: string;
}

/** Somebody who looks after a target until it is stopped. */
export interface Watcher<Target extends WatchTarget> {
  /** The newest words about the same target. */
  target: Target;
  stop(): void;
}

/** All watchers. */
export class WatchBook<Target extends WatchTarget, Own extends Watcher<Target>> {
  readonly #begin: (builder: string, target: Target, before: Own | undefined) => Own;
  readonly #builders = new Map<string, Map<string, Own>>();

  /** `begin` makes a watcher; `before` is the one of another identity that had the target's id. */
  constructor(begin: (builder: string, target: Target, before: Own | undefined) => Own) {
    this.#begin = begin;
  }

  /** From now on these are the targets of the Builder; others of it are let go. */
  watch(builder: string, targets: readonly Target[]): void {
    const before = this.#builders.get(builder) ?? new Map<string, Own>();
    const after = new Map<string, Own>();
    for (const target of targets) {
      const known = before.get(target.id);
      const isSame = known?.target.identity === target.identity;
      if (isSame) known.target = target;
      after.set(target.id, isSame ? known : this.#begin(builder, target, known));
    }
    for (const [id, watcher] of before) if (after.get(id) !== watcher) watcher.stop();
    if (after.size === 0) this.#builders.delete(builder);
    else this.#builders.set(builder, after);
  }

  /** Undefined when nobody looks after it. */
  get(builder: string, id: string): Own | undefined {
    return this.#builders.get(builder)?.get(id);
  }

  /** All that are looked after for a Builder. */
  of(builder: string): readonly Own[] {
    return [...(this.#builders.get(builder)?.values() ?? [])];
  }

  /** Lets everything go. */
  stop(): void {
    for (const builder of this.#builders.keys()) this.watch(builder, []);
  }
}
