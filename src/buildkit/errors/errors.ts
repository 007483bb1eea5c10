// The one error that leaves this folder: a failed call or build, decoded and classified.
import { KilnError, type ErrorClass } from "../../errors/index.ts";
import { factsOf, factsOfCall, type ErrorDetails, type ErrorFacts } from "./details.ts";
import type { ErrorSource } from "./source-lines.ts";
import { detailBytes, isFailedCall } from "./status.ts";
import { rowOf, type ErrorRow } from "./table.ts";
import type { Status } from "../../gen/google/rpc/status_pb.ts";
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
  /** What there is of it; lists that are left out are empty. */
  readonly details?: Partial<ErrorDetails>;
  readonly logTail?: readonly string[];
  readonly cause?: unknown;
}

const noDetails: ErrorDetails = {
  vertices: [],
  sources: [],
  frontends: [],
  incompleteMaterials: [],
  decisions: [],
};

/** A failed build or call. `class`, `reason` and `retryable` come from the table in errors/table.ts. */
export class BuildkitError extends KilnError {
  readonly grpcCode: number;
  /** The step that failed, and its name as shown to people. */
  readonly vertexDigest: string | undefined;
  readonly step: string | undefined;
  /** All that the daemon said with types. */
  readonly details: ErrorDetails;
  /** Last lines the step printed. */
  readonly logTail: readonly string[];

  constructor(init: BuildkitErrorInit) {
    super(init);
    this.name = "BuildkitError";
    this.grpcCode = init.grpcCode;
    this.vertexDigest = init.vertexDigest;
    this.step = init.step;
    this.details = { ...noDetails, ...init.details };
    this.logTail = init.logTail ?? [];
  }

  /** The place in a Dockerfile that it is about: the first of `details.sources`. */
  get source(): ErrorSource | undefined {
    return this.details.sources[0];
  }

  /** Exit code of the failed RUN. */
  get exitCode(): number | undefined {
    return this.details.exitCode;
  }
}

/** Any rejection of a call → BuildkitError. `transcript` adds the step's name and last output. */
export function buildkitError(error: unknown, transcript?: Transcript): BuildkitError {
  if (error instanceof BuildkitError) return error;
  if (!isFailedCall(error)) {
    const message = error instanceof Error ? error.message : String(error);
    return classified(factsOfCall(2, message), error, transcript);
  }
  return classified(factsOfCall(error.code, error.details, detailBytes(error)), error, transcript);
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

/** What a build's callback threw: a BuildkitError as it is, a KilnError with its class and reason. */
export function callbackFailed(error: unknown): BuildkitError {
  if (error instanceof BuildkitError) return error;
  const known = error instanceof KilnError ? error : undefined;
  const what = error instanceof Error ? error.message : String(error);
  return new BuildkitError({
    class: known?.class ?? "User",
    reason: known?.reason ?? "CallbackFailed",
    message: known?.message ?? `The build was ended by its own callback: ${what}`,
    retryable: known?.retryable ?? false,
    grpcCode: 2,
    cause: error,
  });
}

function classified(facts: ErrorFacts, cause: unknown, transcript?: Transcript): BuildkitError {
  const row = rowOf(facts);
  const { code, message: _message, kinds: _kinds, ...details } = facts;
  const vertexDigest = facts.vertices[0] ?? transcript?.failed();
  const step = vertexDigest === undefined ? undefined : transcript?.nameOf(vertexDigest);
  return new BuildkitError({
    class: row.class,
    reason: row.reason,
    retryable: row.retryable,
    message: sentence(row, facts, step),
    grpcCode: code,
    vertexDigest,
    step,
    details,
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
    .replace(/\/\/[^\s/]*@(?!sha256:)/g, "//")
    .replace(/\s+/g, " ")
    .trim();
  return plain.length > maxMessage ? `${plain.slice(0, maxMessage)}…` : plain;
}

function sentence(row: ErrorRow, facts: ErrorFacts, step: string | undefined): string {
  const source = facts.sources[0];
  const at =
    source === undefined
      ? ""
      : ` at ${source.path === "" ? "Dockerfile" : source.path}:${source.line}`;
  if (facts.exitCode !== undefined && row.reason === "StepFailed") {
    const what = step === undefined ? "A step" : `Step ${JSON.stringify(step)}`;
    return `${what}${at} failed with exit code ${facts.exitCode}. ${row.advice}`;
  }
  const what = tidy(withReasons(facts)).replace(/[.:]+$/, "");
  return `${what === "" ? row.reason : what}${at}. ${row.advice}`;
}

/** The message with what the policy, or the provenance, has to say of it. */
function withReasons({ message, decisions, incompleteMaterials }: ErrorFacts): string {
  const said = decisions.flatMap(({ messages }) => messages);
  const lacking = incompleteMaterials
    .filter(({ uri, name }) => !message.includes(uri || name))
    .map(({ method, uri, name, reason }) => `${method} ${uri || name} ${reason}`);
  const more = [...said, ...lacking].filter((text) => !message.includes(text));
  return more.length === 0 ? message : `${message}: ${more.join("; ")}`;
}
