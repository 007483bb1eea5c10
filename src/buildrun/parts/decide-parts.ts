// What to do with a run that is split into parts: make them, follow them, end them, or put their images together. Pure.

import type { BuildRun, BuildRunStatus } from "../../api/v1alpha1/index.ts";
import type { SolveFailure } from "../../agent/agent.ts";
import { deadlineMs, isTerminal } from "../reconcile/attempts.ts";
import type { RunWorld } from "../reconcile/world.ts";
import { type PartName, partOfLabel } from "./split.ts";

/** A part and its run, as far as there is one. */
export interface PartView extends PartName {
  readonly found?: BuildRun;
}

/** Decisions about parts. */
export type PartsStep =
  /** Write down which parts there will be. */
  | { readonly kind: "split"; readonly parts: readonly PartName[] }
  /** Create the runs of these parts. */
  | { readonly kind: "spawn"; readonly parts: readonly PartName[] }
  /** Cancel these runs. */
  | { readonly kind: "halt"; readonly runs: readonly BuildRun[] }
  | { readonly kind: "follow"; readonly recheckMs: number }
  /** All parts have succeeded: make one index of their images. */
  | { readonly kind: "merge" };

/** As `PartsStep`, or why the whole run ends. */
export type PartsDecision =
  | PartsStep
  | {
      readonly kind: "over";
      readonly why: "cancelled" | "late" | "failed";
      readonly failure?: SolveFailure;
    };

const recheckMs = 30_000;

/** The step for a world with parts. */
export function attendParts(world: RunWorld, parts: readonly PartView[]): PartsDecision {
  const { run, now } = world;
  const isLate = now.getTime() >= deadlineMs(run);
  const found = parts.flatMap((part) => (part.found === undefined ? [] : [part.found]));
  const open = found.filter((part) => !isTerminal(part));
  if (run.spec.cancel || isLate) {
    const heedless = open.filter(({ spec }) => !spec.cancel);
    if (heedless.length > 0) return { kind: "halt", runs: heedless };
    if (open.length > 0) return { kind: "follow", recheckMs };
    return { kind: "over", why: run.spec.cancel ? "cancelled" : "late" };
  }
  const missing = parts.filter((part) => part.found === undefined);
  if (missing.length > 0) return { kind: "spawn", parts: missing };
  // Parts that go on are worth having: what they built stays in their builders' caches and registries.
  if (open.length > 0)
    return { kind: "follow", recheckMs: Math.min(recheckMs, deadlineMs(run) - now.getTime()) };
  const failed = parts.find((part) => part.found?.status?.phase !== "Succeeded");
  if (failed === undefined) return { kind: "merge" };
  return { kind: "over", why: "failed", failure: failureOfPart(failed) };
}

function failureOfPart({ platforms, run, found }: PartView): SolveFailure {
  const of = `${platforms.join(", ")} (BuildRun ${run})`;
  const base = { retryable: false, logTail: [] } as const;
  const failure = found?.status?.failure;
  if (failure === undefined) {
    const message = `${of}: it was cancelled.`;
    return { ...base, class: "User", reason: "Cancelled", message };
  }
  const { dockerfile, step, exitCode, logTail = [] } = failure;
  return {
    ...base,
    class: failure.class,
    reason: failure.reason,
    message: `${of}: ${failure.message}`,
    ...(step === undefined ? {} : { step }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(dockerfile === undefined ? {} : { dockerfile: placeOf(dockerfile) }),
    logTail,
  };
}

type Place = NonNullable<NonNullable<BuildRunStatus["failure"]>["dockerfile"]>;

function placeOf({ path, line, endLine }: Place): NonNullable<SolveFailure["dockerfile"]> {
  return { path, line, ...(endLine === undefined ? {} : { endLine }) };
}

/** Whether a run is this part of that run, and not a stranger of its name. */
export function isPartOf(part: BuildRun, run: BuildRun): boolean {
  const { labels, ownerReferences = [] } = part.metadata;
  return (
    labels?.[partOfLabel] === run.metadata.name &&
    ownerReferences.some(({ uid }) => uid === run.metadata.uid)
  );
}

/** `status.parts`: each part and how far it is. */
export function partsStatus(parts: readonly PartView[]): NonNullable<BuildRunStatus["parts"]> {
  return parts.map(({ run, platforms, found }) => {
    const { phase, builder, outputs, failure, attempts } = found?.status ?? {};
    const digest = outputs?.[0]?.image?.digest;
    return {
      run,
      platforms: [...platforms],
      ...(phase === undefined ? {} : { phase }),
      ...(builder?.instance === undefined ? {} : { instance: builder.instance }),
      ...(attempts === undefined ? {} : { attempts: attempts.length }),
      ...(digest === undefined ? {} : { digest }),
      ...(failure === undefined ? {} : { reason: failure.reason }),
    };
  });
}

/** How far all parts are together. */
export function partsProgress(parts: readonly PartView[]): BuildRunStatus["progress"] {
  const all = parts.flatMap(({ found }) => found?.status?.progress ?? []);
  const [first] = all;
  if (first === undefined) return undefined;
  const sum = (of: "total" | "completed" | "cached") => all.reduce((n, one) => n + one[of], 0);
  const updatedAt = all.reduce((last, one) => (one.updatedAt > last ? one.updatedAt : last), "");
  const current = all.find((one) => one.current !== undefined)?.current;
  return {
    total: sum("total"),
    completed: sum("completed"),
    cached: sum("cached"),
    ...(current === undefined ? {} : { current }),
    updatedAt,
  };
}
