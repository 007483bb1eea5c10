// The one error that leaves this folder: a failed call or build, decoded and classified.
import { KilnError, type ErrorClass } from "../../errors/index.ts";
import { factsOf, factsOfCall, type ErrorFacts, type ErrorSource } from "./details.ts";
import { rowOf, type ErrorRow } from "./table.ts";
import type { Status } from "../../gen/google/rpc/status_pb.ts";
import type { FailedCall } from "../rpc/channel.ts";
import type { Transcript } from "../progress/transcript.ts";

/** What a BuildkitError is made of. */
export interface BuildkitErrorInit {
  readonly class: ErrorClass;
  readonly reason: string;
  readonly message: string;
  readonly retryable: boolean;
  /** gRPC status code; 2 (UNKNOWN) for most failed builds. */
  readonly grpcCode: number;
  readonly vertexDigest?: string | undefined;
  readonly step?: string | undefined;
  readonly source?: ErrorSource | undefined;
  readonly exitCode?: number | undefined;
  readonly logTail?: readonly string[];
  readonly cause?: unknown;
}

/** A failed build or call. `class`, `reason` and `retryable` come from the table in error-table.ts. */
export class BuildkitError extends KilnError {
  readonly grpcCode: number;
  /** The step that failed, and its name as shown to people. */
  readonly vertexDigest: string | undefined;
  readonly step: string | undefined;
  readonly source: ErrorSource | undefined;
  /** Exit code of the failed RUN. */
  readonly exitCode: number | undefined;
  /** Last lines the step printed. */
  readonly logTail: readonly string[];

  constructor(init: BuildkitErrorInit) {
    super(init);
    this.name = "BuildkitError";
    this.grpcCode = init.grpcCode;
    this.vertexDigest = init.vertexDigest;
    this.step = init.step;
    this.source = init.source;
    this.exitCode = init.exitCode;
    this.logTail = init.logTail ?? [];
  }
}

function isFailedCall(error: unknown): error is FailedCall {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "number" &&
    "details" in error &&
    typeof error.details === "string"
  );
}

/** Any rejection of a call → BuildkitError. `transcript` adds the step's name and last output. */
export function buildkitError(error: unknown, transcript?: Transcript): BuildkitError {
  if (error instanceof BuildkitError) return error;
  if (!isFailedCall(error)) {
    const message = error instanceof Error ? error.message : String(error);
    return classified(factsOfCall(2, message), error, transcript);
  }
  const bytes = error.metadata?.get("grpc-status-details-bin")[0];
  const details = Buffer.isBuffer(bytes) ? bytes : undefined;
  return classified(factsOfCall(error.code, error.details, details), error, transcript);
}

/** The error of a history record. */
export function errorOfStatus(status: Status): BuildkitError {
  return classified(factsOf(status), undefined);
}

/** The caller aborted: not a failure of anything. `what` was being done, such as "the build". */
export function cancelled(what: string, cause?: unknown): BuildkitError {
  return new BuildkitError({
    class: "Infra",
    reason: "Cancelled",
    message: `${what} was cancelled.`,
    retryable: false,
    grpcCode: 1,
    cause,
  });
}

function classified(facts: ErrorFacts, cause: unknown, transcript?: Transcript): BuildkitError {
  const row = rowOf(facts);
  const vertexDigest = facts.vertexDigest ?? transcript?.failed();
  const step = vertexDigest === undefined ? undefined : transcript?.nameOf(vertexDigest);
  return new BuildkitError({
    class: row.class,
    reason: row.reason,
    retryable: row.retryable,
    message: sentence(row, facts, step),
    grpcCode: facts.code,
    vertexDigest,
    step,
    source: facts.source,
    exitCode: facts.exitCode,
    logTail: vertexDigest === undefined ? [] : (transcript?.tail(vertexDigest) ?? []),
    cause,
  });
}

const maxMessage = 1024;
const maxRead = 4 * maxMessage;

/** Daemons prefix causes with their own work; the last cause says most. URLs may hold credentials. */
function tidy(message: string): string {
  const plain = message
    .slice(0, maxRead)
    .replace(/^(?:failed to solve(?: with frontend \S+)?: )+/, "")
    .replace(/failed to compute cache key: |failed to calculate checksum of ref \S+: /g, "")
    .replace(/\b(\w{1,16}:\/\/)[^\s/@]*@/g, "$1")
    .replace(/\s+/g, " ")
    .trim();
  return plain.length > maxMessage ? `${plain.slice(0, maxMessage)}…` : plain;
}

function sentence(row: ErrorRow, facts: ErrorFacts, step: string | undefined): string {
  const at =
    facts.source === undefined
      ? ""
      : ` at ${facts.source.path === "" ? "Dockerfile" : facts.source.path}:${facts.source.line}`;
  if (facts.exitCode !== undefined && row.reason === "StepFailed") {
    const what = step === undefined ? "A step" : `Step ${JSON.stringify(step)}`;
    return `${what}${at} failed with exit code ${facts.exitCode}. ${row.advice}`;
  }
  const what = tidy(facts.message).replace(/[.:]+$/, "");
  return `${what === "" ? row.reason : what}${at}. ${row.advice}`;
}
