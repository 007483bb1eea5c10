// Does a solve that went well end its run well? Not when the registry shows another digest than was pushed, nor when the
// frontend, asked instead of told to build, finds fault. Pure.

import type {
  CallFacts,
  ImageFacts,
  SolveFacts,
  SolveFailure,
  WarningFact,
} from "../../agent/agent.ts";
import { pushedTagDiffers } from "../../registry/registry-errors.ts";
import { failureOf } from "../status/failure.ts";

/** Why the run fails all the same; undefined: it does not. */
export function objection({ images, call }: SolveFacts): SolveFailure | undefined {
  if (call !== undefined) return faultFound(call);
  return images.map(otherDigest).find((failure) => failure !== undefined);
}

function otherDigest({ digest, readBack = [] }: ImageFacts): SolveFailure | undefined {
  const other = readBack.find((found) => found.digest !== undefined && found.digest !== digest);
  if (other?.digest === undefined) return undefined;
  return failureOf(pushedTagDiffers(other.tag, digest, other.digest));
}

const base = { class: "User", retryable: false, logTail: [] } as const;

function faultFound({ request, statusCode, lint }: CallFacts): SolveFailure | undefined {
  if (statusCode === 0) return undefined;
  if (lint?.error !== undefined) return brokenDockerfile(lint.error);
  const [first] = lint?.warnings ?? [];
  if (first !== undefined) return lintViolation(first, (lint?.warnings.length ?? 1) - 1);
  const message = `The frontend answers ${request} with status code ${statusCode}: see status.call.`;
  return { ...base, reason: "CallFailed", message };
}

function placeOf({ file, line }: WarningFact): Pick<SolveFailure, "dockerfile"> {
  return line === undefined ? {} : { dockerfile: { path: file ?? "Dockerfile", line } };
}

function brokenDockerfile(error: WarningFact): SolveFailure {
  const message = `${error.message.replace(/[.\s]+$/, "")}. Correct the Dockerfile.`;
  return { ...base, reason: "DockerfileInvalid", message, ...placeOf(error) };
}

function lintViolation(first: WarningFact, others: number): SolveFailure {
  const named = first.rule === undefined ? "" : `${first.rule}: `;
  const more = others === 0 ? "" : ` (and ${others} more in status.warnings)`;
  const message = `${named}${first.message.replace(/\.$/, "")}${more}. Correct the Dockerfile, or skip the rule by a "# check=skip=…" line.`;
  return { ...base, reason: "LintViolation", message, ...placeOf(first) };
}
