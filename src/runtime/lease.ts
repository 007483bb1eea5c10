// Who is the leader: one process holds a Lease, renews it every two seconds, and stops acting when it
// could not for ten; others take over once they have seen it unchanged for fifteen. Takes a small
// port, so that the Kubernetes part stays in kube/. Times follow client-go's leaderelection package.

import type { Logger } from "pino";
import { deadline, sleep, systemClock } from "./clock.ts";
import type { Clock } from "./clock.ts";

/** The stored lease. `version` is the optimistic lock: a `replace` with an old one must fail. */
export interface LeaseRecord {
  /** Empty when the lease was given back. */
  readonly holder: string;
  readonly durationSeconds: number;
  /** RFC 3339 with microseconds. */
  readonly acquireTime: string;
  readonly renewTime: string;
  /** How often the holder changed. */
  readonly transitions: number;
  readonly version?: string | undefined;
}

/** Where the lease is stored. `create` and `replace` throw `LeaseTaken` when somebody was faster. */
export interface LeasePort {
  get(signal: AbortSignal): Promise<LeaseRecord | undefined>;
  create(record: LeaseRecord, signal: AbortSignal): Promise<LeaseRecord>;
  replace(record: LeaseRecord, signal: AbortSignal): Promise<LeaseRecord>;
}

/** Somebody else wrote the lease first. Not an error: the next try reads it again. */
export class LeaseTaken extends Error {
  constructor(options?: ErrorOptions) {
    super("another process wrote the lease first", options);
    this.name = "LeaseTaken";
  }
}

/** The abort reason of the leader's signal: it must stop acting at once. */
export class LeaseLost extends Error {
  constructor(why: string) {
    super(`the leader lease was lost: ${why}`);
    this.name = "LeaseLost";
  }
}

/** Lease times in milliseconds; `durationMs > renewDeadlineMs > retryMs`. */
export interface LeaseTimes {
  /** Others wait this long after the last change they saw before they take over. */
  readonly durationMs: number;
  /** A leader that could not renew for this long stops leading. */
  readonly renewDeadlineMs: number;
  /** Between tries. */
  readonly retryMs: number;
}

/** The defaults of Kubernetes' own controllers: 15, 10 and 2 seconds. */
export const leaseTimes: LeaseTimes = {
  durationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryMs: 2_000,
};

/** What a `LeaderElection` is made of. */
export interface LeaderElectionOptions {
  readonly port: LeasePort;
  /** Unique per process, also across restarts of a container with the same host name. */
  readonly identity: string;
  readonly log: Logger;
  readonly times?: LeaseTimes;
  readonly clock?: Clock;
  /** In [0, 1); for jitter. */
  readonly random?: () => number;
  /** Told whenever this process starts or stops leading, e.g. for a metric. */
  readonly onChange?: (leading: boolean) => void;
}

/** One candidacy: `acquire` once, act until the returned signal aborts, then `release`. */
export class LeaderElection {
  readonly #o: LeaderElectionOptions;
  readonly #times: LeaseTimes;
  readonly #clock: Clock;
  /** The lease as last seen, and when it was last seen to change, by this process's own clock. */
  #seen: LeaseRecord | undefined;
  #seenAt = Number.NEGATIVE_INFINITY;
  #leading = false;
  #lost = new AbortController();
  readonly #released = new AbortController();
  #renewal: Promise<void> = Promise.resolve();

  constructor(o: LeaderElectionOptions) {
    this.#o = o;
    this.#times = o.times ?? leaseTimes;
    this.#clock = o.clock ?? systemClock;
  }

  get leading(): boolean {
    return this.#leading;
  }

  /** Who holds the lease as far as this process has seen; empty when nobody does. */
  get holder(): string {
    return this.#seen?.holder ?? "";
  }

  /**
   * Resolves when this process leads. The signal it resolves with aborts with `LeaseLost` when it no
   * longer does. Rejects only when `signal` aborts. Errors of the port are logged and tried again.
   */
  async acquire(signal: AbortSignal): Promise<AbortSignal> {
    const stop = AbortSignal.any([signal, this.#released.signal]);
    let announced = "";
    for (;;) {
      stop.throwIfAborted();
      if (await this.#try(this.#times.renewDeadlineMs, stop)) break;
      if (this.holder !== announced) {
        announced = this.holder;
        this.#o.log.info({ holder: announced }, "waiting for the leader lease");
      }
      await sleep(this.#clock, this.#pause(1.2), stop);
    }
    this.#setLeading(true);
    this.#lost = new AbortController();
    this.#renewal = this.#renew(this.#lost);
    return this.#lost.signal;
  }

  /** Stops renewing and gives the lease back, so that another process leads at once. Never rejects. */
  async release(timeoutMs = 5_000): Promise<void> {
    this.#released.abort(new Error("the leader lease was released"));
    await this.#renewal;
    if (!this.#leading) return;
    this.#setLeading(false);
    this.#lost.abort(new LeaseLost("released"));
    const limit = deadline(this.#clock, timeoutMs, new AbortController().signal, timedOut);
    try {
      if (this.#seen === undefined) return;
      const now = this.#stamp();
      const empty = {
        ...this.#seen,
        holder: "",
        durationSeconds: 1,
        acquireTime: now,
        renewTime: now,
      };
      await this.#o.port.replace(empty, limit.signal);
      this.#o.log.info("leader lease released");
    } catch (err) {
      this.#o.log.warn({ err }, "leader lease could not be released");
    } finally {
      limit.clear();
    }
  }

  async #renew(lost: AbortController): Promise<void> {
    const stop = this.#released.signal;
    let renewedAt = this.#clock.now();
    while (!stop.aborted) {
      const wait = sleep(this.#clock, this.#pause(1), stop);
      await wait.catch(() => undefined);
      if (stop.aborted) return;
      const leftMs = renewedAt + this.#times.renewDeadlineMs - this.#clock.now();
      if (leftMs > 0 && (await this.#try(leftMs, stop))) {
        renewedAt = this.#clock.now();
        continue;
      }
      if (stop.aborted) return;
      const heldByOther = this.holder !== this.#o.identity;
      const late = this.#clock.now() - renewedAt >= this.#times.renewDeadlineMs;
      if (!heldByOther && !late) continue;
      this.#setLeading(false);
      lost.abort(
        new LeaseLost(
          heldByOther
            ? `${this.holder || "nobody"} holds it now`
            : `it could not be renewed for ${this.#times.renewDeadlineMs} ms`,
        ),
      );
      return;
    }
  }

  /** One try to take or renew the lease within `ms`; false when somebody else holds it or on error. */
  async #try(ms: number, signal: AbortSignal): Promise<boolean> {
    const limit = deadline(this.#clock, ms, signal, timedOut);
    try {
      const known = await this.#o.port.get(limit.signal);
      this.#observe(known);
      if (known !== undefined && !this.#mayTake(known)) return false;
      const record = this.#claim(known);
      const stored =
        known === undefined
          ? await this.#o.port.create(record, limit.signal)
          : await this.#o.port.replace(record, limit.signal);
      this.#observe(stored);
      return true;
    } catch (err) {
      if (!signal.aborted && !(err instanceof LeaseTaken)) {
        this.#o.log.warn({ err }, "leader lease could not be read or written");
      }
      return false;
    } finally {
      limit.clear();
    }
  }

  /** Whether this process may write itself into the lease as it was last seen. */
  #mayTake(record: LeaseRecord): boolean {
    if (record.holder === "" || record.holder === this.#o.identity) return true;
    // By our own clock since we saw it change: the holder's clock may be wrong.
    return this.#clock.now() >= this.#seenAt + record.durationSeconds * 1000;
  }

  #claim(known: LeaseRecord | undefined): LeaseRecord {
    const now = this.#stamp();
    const ours = known?.holder === this.#o.identity;
    return {
      holder: this.#o.identity,
      durationSeconds: Math.ceil(this.#times.durationMs / 1000),
      acquireTime: ours ? known.acquireTime : now,
      renewTime: now,
      transitions: known === undefined ? 0 : known.transitions + (ours ? 0 : 1),
      version: known?.version,
    };
  }

  #observe(record: LeaseRecord | undefined): void {
    const changed =
      record?.version !== this.#seen?.version || record?.renewTime !== this.#seen?.renewTime;
    if (changed) this.#seenAt = this.#clock.now();
    this.#seen = record;
  }

  #pause(spread: number): number {
    const random = (this.#o.random ?? Math.random)();
    return this.#times.retryMs * (1 + (spread - 1) * random);
  }

  /** metav1.MicroTime: RFC 3339 with exactly six digits of fraction. */
  #stamp(): string {
    const ms = this.#clock.now();
    const micros = String(Math.floor((ms % 1) * 1000)).padStart(3, "0");
    return new Date(ms).toISOString().replace("Z", `${micros}Z`);
  }

  #setLeading(leading: boolean): void {
    this.#leading = leading;
    this.#o.log.info({ identity: this.#o.identity }, leading ? "leading" : "no longer leading");
    this.#o.onChange?.(leading);
  }
}

function timedOut(): Error {
  return new Error("the lease request timed out");
}
