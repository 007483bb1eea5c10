// Errors as the `failure` of a status: class, reason, sentence, where it happened and the last lines, sized to fit.

import type { SolveFailure } from "../../agent/agent.ts";
import type { Failure } from "../../api/v1alpha1/index.ts";
import type { KilnError } from "../../errors/index.ts";
import { cut, oneLine, plainText } from "./text.ts";

const maxLines = 20;
const maxLine = 400;
const maxMessage = 2000;

/** An error that happened outside of a solve. */
export function failureOf(error: KilnError): SolveFailure {
  const { reason, message, retryable } = error;
  return { class: error.class, reason, message, retryable, logTail: [] };
}

/** A failure that nothing but another spec, or another run, mends. */
export function finalFailure(
  init: Pick<SolveFailure, "class" | "reason" | "message">,
): SolveFailure {
  return { ...init, retryable: false, logTail: [] };
}

/** The failure as it is written. `hints` are sentences that help a person when a registry refused. */
export function statusFailure(failure: SolveFailure, hints: readonly string[] = []): Failure {
  const helpful = failure.class === "Registry" ? [failure.message, ...hints] : [failure.message];
  const { step, dockerfile, exitCode } = failure;
  return {
    class: failure.class,
    reason: failure.reason,
    message: plainText(helpful.join(" "), maxMessage),
    ...(step === undefined ? {} : { step: oneLine(step, 400) }),
    ...(dockerfile === undefined
      ? {}
      : { dockerfile: { ...dockerfile, path: cut(dockerfile.path, 200) } }),
    ...(exitCode === undefined ? {} : { exitCode }),
    logTail: failure.logTail.slice(-maxLines).map((line) => plainText(line.trimEnd(), maxLine)),
  };
}
