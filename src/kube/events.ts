// What happened to an object, for `kubectl describe` and `kubectl events`. Repeats become one Event
// with a count, and an object that is stuck cannot flood the API server.

import type { Logger } from "pino";
import { asError, systemClock } from "../runtime/clock.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Applied, KubeClient } from "./client.ts";
import { dnsName, shortHash } from "./names.ts";
import { keyOf } from "./object.ts";
import type { KubeObject } from "./object.ts";
import { events } from "./types.ts";
import type { Event } from "./types.ts";

/** One Event to be recorded. */
export interface EventNote {
  readonly type: "Normal" | "Warning";
  /** CamelCase, stable. */
  readonly reason: string;
  /** One sentence; cut at 1024 bytes. Never a secret. */
  readonly message: string;
  /** What Kiln was doing, CamelCase. Default: the reason. */
  readonly action?: string;
}

/** Records Events. Returns at once and never throws; drops what the API server will not take. */
export interface EventSink {
  event(object: KubeObject, note: EventNote): void;
}

/** What an `EventRecorder` is made of. */
export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, "apply">;
  /** Who reports: a qualified name. Default "kiln.build/controller". */
  readonly controller?: string;
  /** Which process: the identity in the Lease. */
  readonly instance: string;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Told of Events that were not recorded, e.g. for a metric. */
  readonly onDropped?: (why: "queue" | "rate" | "refused") => void;
}

/** Events that wait to be sent; more are dropped. */
const maxPending = 1000;
/** Kinds of Events that are remembered for counting; the longest unused one is forgotten. */
const maxSeries = 4096;
/** A repeat later than this is a new Event. */
const seriesMs = 360_000;
/** A running series is written no more often than this. */
const rewriteMs = 30_000;
/** An object may have this many Events at once, and one more every five minutes. */
const burst = 25;
const refillMs = 300_000;

interface Series {
  readonly name: string;
  readonly object: KubeObject;
  readonly note: EventNote;
  readonly firstAt: number;
  lastAt: number;
  count: number;
  /** Count as last written, and when. */
  written: number;
  writtenAt: number;
  pending: boolean;
}

/** Sends Events one after the other in the background; `stop` sends what is left. */
export class EventRecorder implements EventSink {
  readonly #o: EventRecorderOptions;
  readonly #clock: Clock;
  /** By what makes two Events the same; least recently used first. */
  readonly #series = new Map<string, Series>();
  /** Object → Events it may still have, and as of when. */
  readonly #budgets = new Map<string, { left: number; at: number }>();
  readonly #pending: Series[] = [];
  readonly #stopping = new AbortController();
  #sending: Promise<void> | undefined;

  constructor(o: EventRecorderOptions) {
    this.#o = o;
    this.#clock = o.clock ?? systemClock;
  }

  event(object: KubeObject, note: EventNote): void {
    if (this.#stopping.signal.aborted) return;
    const now = this.#clock.now();
    const uid = object.metadata.uid ?? keyOf(object.metadata);
    const id = JSON.stringify([
      object.kind,
      uid,
      note.type,
      note.reason,
      note.action,
      note.message,
    ]);
    const known = this.#series.get(id);
    this.#series.delete(id);
    if (known !== undefined && now - known.lastAt < seriesMs) {
      this.#series.set(id, known);
      known.count += 1;
      known.lastAt = now;
      if (now - known.writtenAt >= rewriteMs) this.#enqueue(known);
      return;
    }
    if (!this.#spend(uid, now)) {
      this.#o.onDropped?.("rate");
      return;
    }
    const name = `${dnsName([object.metadata.name], 200)}.${shortHash(`${id}${now}`, 16)}`;
    const times = { firstAt: now, lastAt: now, writtenAt: now };
    const series = { name, object, note, ...times, count: 1, written: 0, pending: false };
    this.#series.set(id, series);
    forgetOldest(this.#series, maxSeries);
    this.#enqueue(series);
  }

  /** Sends what is left, for at most `deadlineMs`. Never rejects. */
  async stop(deadlineMs: number): Promise<void> {
    for (const series of this.#series.values()) {
      if (series.count > series.written) this.#enqueue(series);
    }
    const cancel = this.#clock.after(deadlineMs, () => this.#stopping.abort(new Error("stopped")));
    await this.#sending;
    cancel();
    this.#stopping.abort(new Error("stopped"));
  }

  #enqueue(series: Series): void {
    if (series.pending) return;
    if (this.#pending.length >= maxPending) {
      this.#o.onDropped?.("queue");
      return;
    }
    series.pending = true;
    this.#pending.push(series);
    this.#sending ??= this.#send();
  }

  async #send(): Promise<void> {
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
      next.pending = false;
      next.written = next.count;
      next.writtenAt = this.#clock.now();
      if (this.#stopping.signal.aborted) continue;
      try {
        await this.#o.client.apply(events, this.#wire(next), {}, this.#stopping.signal);
      } catch (error) {
        this.#o.onDropped?.("refused");
        const { kind, metadata } = next.object;
        const err = asError(error).message;
        this.#o.log.debug({ kind, key: keyOf(metadata), err }, "event not recorded");
      }
    }
    this.#sending = undefined;
  }

  /** A token bucket an object. */
  #spend(uid: string, now: number): boolean {
    const known = this.#budgets.get(uid) ?? { left: burst, at: now };
    const refilled = Math.min(burst, known.left + (now - known.at) / refillMs);
    this.#budgets.delete(uid);
    this.#budgets.set(uid, { left: refilled >= 1 ? refilled - 1 : refilled, at: now });
    forgetOldest(this.#budgets, maxSeries);
    return refilled >= 1;
  }

  #wire(series: Series): Applied<Event> {
    const { object, note } = series;
    const { name, namespace, uid, resourceVersion } = object.metadata;
    const last = { count: series.count, lastObservedTime: microTime(series.lastAt) };
    return {
      // Events about cluster-scoped objects live in the default namespace, as Kubernetes' own do.
      metadata: { name: series.name, namespace: namespace ?? "default" },
      eventTime: microTime(series.firstAt),
      reportingController: this.#o.controller ?? "kiln.build/controller",
      reportingInstance: this.#o.instance.slice(0, 128),
      type: note.type,
      reason: note.reason.slice(0, 128),
      action: (note.action ?? note.reason).slice(0, 128),
      note: cut(note.message, 1024),
      regarding: {
        apiVersion: object.apiVersion,
        kind: object.kind,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      ...(series.count > 1 ? { series: last } : {}),
    };
  }
}

/** RFC 3339 with six digits of fraction, as metav1.MicroTime wants it. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

/** At most `bytes` of UTF-8, never half a character. */
function cut(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  const whole = new TextDecoder().decode(Buffer.from(text).subarray(0, bytes - 3));
  return `${whole.replace(/\uFFFD+$/, "")}…`;
}

function forgetOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}
