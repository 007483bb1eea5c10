// What became of a job whose agent died with the call to the daemon in its hands? The daemon's history is asked; when that
// knows no outcome, the job is lost: not the build's fault, and worth another attempt.

import { setTimeout as pause } from "node:timers/promises";
import { attemptLost, type JobOutcome, type RecallQuestion, type Recollection } from "../agent.ts";
import { type Connect, recallRef } from "./execute.ts";

/** A solve whose caller died ends within this long, and enters the history. */
const settleMs = 3_000;
/** A daemon that does not answer, or goes on solving, is asked this long. */
const patienceMs = 60_000;
const everyMs = 500;

/** An outcome that says that nobody knows the job's. `why` completes a sentence. */
export function lostFailure(why: string): JobOutcome {
  const failure = {
    class: "Builder",
    reason: attemptLost,
    message: `The attempt was lost: ${why}.`,
    retryable: true,
    logTail: [],
  } as const;
  return { kind: "failed", failure, finishedAt: new Date().toISOString() };
}

/** The outcome of a job that an earlier process of this agent held. Never rejects. */
export async function resolveLost(
  question: RecallQuestion,
  connect: Connect,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const begin = Date.now();
  const lost = lostFailure("the agent beside the builder's daemon was restarted");
  while (!signal.aborted) {
    const memory = await ask(question, connect, signal);
    // Nobody cancelled it: the daemon saw its caller go.
    if (memory?.kind === "finished")
      return memory.outcome.kind === "cancelled" ? lost : memory.outcome;
    const limitMs = memory?.kind === "unknown" ? settleMs : patienceMs;
    if (Date.now() - begin > limitMs) return lost;
    await pause(everyMs, undefined, { signal }).catch(() => undefined);
  }
  return lost;
}

async function ask(
  question: RecallQuestion,
  connect: Connect,
  signal: AbortSignal,
): Promise<Recollection | undefined> {
  try {
    return await recallRef(question, connect, signal);
  } catch {
    return undefined;
  }
}
