// Which key is looked at next: every key at most once in the queue and never with two workers at
// once. An event that arrives while its key is being worked on makes it run once more afterwards.

import { backoffMs, reconcileBackoff } from "./backoff.ts";
import type { BackoffPolicy } from "./backoff.ts";
import { systemClock } from "./clock.ts";
import type { Clock } from "./clock.ts";
import { Heap } from "./heap.ts";
import type { HeapEntry } from "./heap.ts";

/** `low` keys run only when no `normal` key waits: the initial list must not delay live events. */
export type Priority = "normal" | "low";

/** When and how urgently a key is to run. */
export interface AddOptions {
  /** Run no later than this from now. Default 0. */
  readonly delayMs?: number;
  /** Default "normal". A key that is added with both runs as "normal". */
  readonly priority?: Priority;
}

/** What a queue needs from outside; all have defaults. */
export interface QueueOptions {
  readonly clock?: Clock;
  readonly backoff?: BackoffPolicy;
  /** In [0, 1); for jitter. */
  readonly random?: () => number;
  /** Told how long a key waited between being due and being taken, in milliseconds. */
  readonly onWaited?: (ms: number) => void;
}

interface Alarm extends HeapEntry {
  readonly key: string;
  readonly priority: Priority;
}

/**
 * A keyed work queue. `add` promises one run of the key that starts after the call and no later than
 * `delayMs` after it (given a free worker); a run that starts earlier replaces the delayed one, so a
 * reconciler that still wants to be woken says so in its outcome.
 */
export class KeyedQueue {
  readonly #clock: Clock;
  readonly #backoff: BackoffPolicy;
  readonly #random: () => number;
  readonly #onWaited: (ms: number) => void;
  /** Keys ready to run → when they became due. A Map keeps insertion order: first in, first out. */
  readonly #ready: Record<Priority, Map<string, number>> = { normal: new Map(), low: new Map() };
  readonly #processing = new Set<string>();
  /** Added again while being processed. */
  readonly #dirty = new Map<string, { priority: Priority; since: number }>();
  readonly #alarms = new Heap<Alarm>();
  readonly #alarmOf = new Map<string, Alarm>();
  readonly #failures = new Map<string, number>();
  readonly #takers: ((key: string | undefined) => void)[] = [];
  #cancelTimer: (() => void) | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #shut = false;

  constructor(o: QueueOptions = {}) {
    this.#clock = o.clock ?? systemClock;
    this.#backoff = o.backoff ?? reconcileBackoff;
    this.#random = o.random ?? Math.random;
    this.#onWaited = o.onWaited ?? (() => undefined);
  }

  /** Keys that are due and wait for a worker. */
  get depth(): number {
    return this.#ready.normal.size + this.#ready.low.size;
  }

  /** Keys that a worker holds. */
  get active(): number {
    return this.#processing.size;
  }

  /** Asks for a run of `key`. Does nothing once the queue is shut down. */
  add(key: string, o: AddOptions = {}): void {
    if (this.#shut) return;
    const priority = o.priority ?? "normal";
    const now = this.#clock.now();
    if ((o.delayMs ?? 0) > 0) this.#addAlarm(key, now + (o.delayMs ?? 0), priority);
    else this.#addReady(key, priority, now);
  }

  /** Asks for a run of `key` after its next backoff; returns that wait in milliseconds. */
  retry(key: string): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const delayMs = backoffMs(this.#backoff, failures, this.#random());
    this.add(key, { delayMs });
    return delayMs;
  }

  /** How often `key` has been retried since it was last forgotten. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** Starts the backoff of `key` over. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key, as soon as there is one; undefined once the queue is shut down. Pair with `finish`. */
  take(): Promise<string | undefined> {
    if (this.#shut) return Promise.resolve(undefined);
    const key = this.#next();
    if (key !== undefined) return Promise.resolve(key);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** The worker that took `key` is done with it. */
  finish(key: string): void {
    if (!this.#processing.delete(key)) return;
    const again = this.#dirty.get(key);
    if (again === undefined) return;
    this.#dirty.delete(key);
    if (!this.#shut) this.#addReady(key, again.priority, again.since);
  }

  /** Gives out nothing more and forgets what waits; keys in process may still `finish`. */
  shutDown(): void {
    this.#shut = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#alarms.clear();
    this.#alarmOf.clear();
    this.#ready.normal.clear();
    this.#ready.low.clear();
    this.#dirty.clear();
    this.#failures.clear();
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  #addReady(key: string, priority: Priority, since: number): void {
    if (this.#processing.has(key)) {
      const known = this.#dirty.get(key);
      const urgent = known?.priority === "normal" ? known.priority : priority;
      this.#dirty.set(key, { priority: urgent, since: known?.since ?? since });
      return;
    }
    if (this.#ready.normal.has(key)) return;
    const low = this.#ready.low.get(key);
    if (low !== undefined && priority === "low") return;
    this.#ready.low.delete(key);
    this.#ready[priority].set(key, low ?? since);
    const taker = this.#takers.shift();
    if (taker !== undefined) taker(this.#next());
  }

  #next(): string | undefined {
    for (const ready of [this.#ready.normal, this.#ready.low]) {
      for (const [key, since] of ready) {
        ready.delete(key);
        this.#processing.add(key);
        this.#removeAlarm(key);
        this.#onWaited(Math.max(0, this.#clock.now() - since));
        return key;
      }
    }
    return undefined;
  }

  #addAlarm(key: string, at: number, priority: Priority): void {
    const known = this.#alarmOf.get(key);
    if (known !== undefined && known.at <= at) return;
    this.#removeAlarm(key);
    const alarm: Alarm = { key, at, priority, index: -1 };
    this.#alarmOf.set(key, alarm);
    this.#alarms.push(alarm);
    this.#armTimer();
  }

  #removeAlarm(key: string): void {
    const alarm = this.#alarmOf.get(key);
    if (alarm === undefined) return;
    this.#alarmOf.delete(key);
    this.#alarms.remove(alarm);
  }

  /** One timer for the earliest alarm; an alarm that went away costs one idle wake-up. */
  #armTimer(): void {
    const first = this.#alarms.peek();
    if (first === undefined || first.at >= this.#timerAt) return;
    this.#cancelTimer?.();
    this.#timerAt = first.at;
    this.#cancelTimer = this.#clock.after(first.at - this.#clock.now(), () => this.#ring());
  }

  #ring(): void {
    this.#cancelTimer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    for (let first = this.#alarms.peek(); first !== undefined && first.at <= now; ) {
      this.#removeAlarm(first.key);
      this.#addReady(first.key, first.priority, first.at);
      first = this.#alarms.peek();
    }
    this.#armTimer();
  }
}
