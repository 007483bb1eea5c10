// What the API server refused, as one error type with a kind to switch on. Messages are the API
// server's own sentences; request bodies and credentials never get into them.

/** What an `ApiError` is about. `Unavailable`: no usable answer came (network, timeout, 5xx). */
export type ApiErrorKind =
  | "NotFound"
  | "Conflict"
  | "AlreadyExists"
  | "Forbidden"
  | "Unauthorized"
  | "Invalid"
  | "Gone"
  | "TooManyRequests"
  | "Unavailable"
  | "Other";

/** What an `ApiError` is made of. */
export interface ApiErrorInit {
  readonly kind: ApiErrorKind;
  /** HTTP status, or 0 when there was no answer. */
  readonly status: number;
  /** `Status.reason` of the API server, e.g. `AlreadyExists`; empty when there was none. */
  readonly reason: string;
  readonly message: string;
  /** What the server asked us to wait, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** A request that the API server refused or never answered. */
export class ApiError extends Error {
  readonly kind: ApiErrorKind;
  readonly status: number;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
  /** A lost race is part of normal life: logged as info by the controller (runtime/outcome.ts). */
  readonly expected: boolean;

  constructor(init: ApiErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = "ApiError";
    this.kind = init.kind;
    this.status = init.status;
    this.reason = init.reason;
    this.retryAfterMs = init.retryAfterMs;
    this.expected = init.kind === "Conflict";
  }
}

/** Whether `error` is an `ApiError` of one of these kinds. */
export function isApiError(error: unknown, ...kinds: readonly ApiErrorKind[]): error is ApiError {
  return error instanceof ApiError && (kinds.length === 0 || kinds.includes(error.kind));
}

/** The fields of a `metav1.Status` that we read. */
export interface StatusBody {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: {
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly field?: string }[];
  };
}

/**
 * The error of an HTTP answer with a status of 400 or above, or of a `Status` inside a watch stream.
 * `what` is the request in a few words (`get pods shop/web`); `body` may be anything.
 */
export function apiErrorOf(
  status: number,
  body: unknown,
  what: string,
  retryAfter?: string,
): ApiError {
  const told = isStatus(body) ? body : {};
  const code = told.code ?? status;
  const reason = told.reason ?? "";
  const seconds = retryAfter === undefined ? told.details?.retryAfterSeconds : Number(retryAfter);
  return new ApiError({
    // Applying with the uid of an object whose name another one has is refused as a change of the uid.
    kind: isAboutUid(told) ? "Conflict" : kindOf(code, reason),
    status: code,
    reason,
    message: `${what}: ${told.message ?? `the API server answered with status ${code}`}`,
    retryAfterMs:
      seconds !== undefined && Number.isFinite(seconds) && seconds >= 0
        ? seconds * 1000
        : undefined,
  });
}

/** The error of a request that got no answer: refused, reset, timed out. */
export function unavailable(what: string, cause: unknown): ApiError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ApiError({
    kind: "Unavailable",
    status: 0,
    reason: "",
    message: `${what}: ${why}`,
    cause,
  });
}

function isStatus(body: unknown): body is StatusBody {
  return typeof body === "object" && body !== null && "kind" in body && body.kind === "Status";
}

function isAboutUid(told: StatusBody): boolean {
  const causes = told.details?.causes ?? [];
  return told.code === 422 && causes.some((cause) => cause.field === "metadata.uid");
}

function kindOf(status: number, reason: string): ApiErrorKind {
  if (reason === "AlreadyExists") return "AlreadyExists";
  if (reason === "Expired") return "Gone";
  switch (status) {
    case 400:
    case 422:
      return "Invalid";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 429:
      return "TooManyRequests";
    default:
      return status >= 500 ? "Unavailable" : "Other";
  }
}
