// What does an answer of BuildKit, or its silence, mean for a Builder? Pure.

import { grpcStatus } from "../../buildkit/errors/grpc-status.ts";
import { KilnError } from "../../errors/index.ts";
import { isProblemReason, oneLine, type Problem, type ProblemReason } from "./problem.ts";

/** Oldest BuildKit that Kiln builds with: before it, malicious frontends and Dockerfiles get out of their sandbox. */
export const floor = "0.32.2";

/** Whether a version is known to be older than `floor`. Development versions that are no semver pass. */
export function isBelowFloor(version: string): boolean {
  const actual = numbers(version);
  const least = numbers(floor);
  if (actual === undefined || least === undefined) return false;
  for (const [index, part] of least.entries()) {
    const difference = (actual[index] ?? 0) - part;
    if (difference !== 0) return difference < 0;
  }
  // v0.32.2-rc1 comes before v0.32.2.
  return /^v?\d+\.\d+\.\d+-rc/.test(version);
}

/** The smallest version of a list, as it was written; undefined for none. */
export function oldest(versions: readonly string[]): string | undefined {
  return [...versions].sort((a, b) => {
    const [left, right] = [numbers(a) ?? [], numbers(b) ?? []];
    for (let i = 0; i < 3; i++) {
      const difference = (left[i] ?? 0) - (right[i] ?? 0);
      if (difference !== 0) return difference;
    }
    return a < b ? -1 : 1;
  })[0];
}

interface Row {
  readonly reason: ProblemReason;
  readonly when: RegExp;
  readonly advice: string;
}

/** By what BuildKit's and the agent's client, Node and OpenSSL say; tried from the top after the error's own reason was looked at. */
const silences: readonly Row[] = [
  {
    reason: "TLSFailed",
    when: /certificate|altname|tlsv1|SSL routines|wrong version number|self.signed|handshake|TLS connection|ERR_TLS/i,
    advice: "Check the authority, the client certificate and the server name.",
  },
  {
    reason: "NotBuildKit",
    when: /buildctl: (?:command )?not found|"buildctl": executable file not found/i,
    advice: "There is no buildctl, which leads to the daemon's socket: install it there.",
  },
  {
    reason: "NameNotResolved",
    when: /ENOTFOUND|EAI_AGAIN|name resolution/i,
    advice: "Check the host name and the cluster's DNS.",
  },
  {
    reason: "ConnectionRefused",
    when: /ECONNREFUSED|ENOENT|EACCES|connect: (?:connection refused|no such file|permission denied)/,
    advice: "Nothing listens there: check the address and whether buildkitd runs.",
  },
  {
    reason: "NotAnswering",
    when: /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|did not answer within|takes too long/i,
    advice: "Check routes, firewalls and network policies between Kiln and the daemon.",
  },
  {
    reason: "ConnectionLost",
    when: /ECONNRESET|EPIPE|socket hang up|GOAWAY|connection (dropped|closed|reset|has ended|was closed)|hung up|failed to connect/i,
    advice:
      "The connection broke: the daemon may want TLS, refuse the client certificate, or have stopped.",
  },
];

/** The problem that a failed question shows. `address` is where it went. */
export function probeProblem(error: unknown, address: string): Problem {
  const said = oneLine(textOf(error), 300);
  const told = toldBy(error);
  if (told !== undefined) return told;
  if (grpcCodeOf(error) === grpcStatus.unimplemented) {
    return {
      reason: "NotBuildKit",
      message: `What answers at ${address} is not BuildKit: check the address.`,
    };
  }
  const row = silences.find(({ when }) => when.test(said));
  if (row !== undefined) {
    return {
      reason: row.reason,
      message: `BuildKit at ${address} cannot be reached: ${ended(said)} ${row.advice}`,
    };
  }
  return {
    reason: "NotAnswering",
    message: `BuildKit at ${address} does not answer: ${ended(said)}`,
  };
}

/** What an error, or what it was caused by, says in words of this slice: a dialler knows best why it failed. */
function toldBy(error: unknown): Problem | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    if (!(one instanceof KilnError)) continue;
    if (one.reason === "TlsInvalid") return { reason: "TLSFailed", message: one.message };
    // Errors of the BuildKit client have reasons for runs, some by the same words.
    if (!("grpcCode" in one) && isProblemReason(one.reason))
      return { reason: one.reason, message: one.message };
  }
  return undefined;
}

function grpcCodeOf(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("grpcCode" in error)) return undefined;
  return typeof error.grpcCode === "number" ? error.grpcCode : undefined;
}

/** The library's own words say most; a BuildkitError wraps them with advice for runs. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  const said = cause instanceof Error && "details" in cause ? String(cause.details) : error.message;
  // grpc-js, which asks agents, adds the time of the last try: with it, the status would change with every try.
  const last = /Last error: (.*?)(?: \([0-9TZ:.-]+\))?\. Resolution note:/.exec(said);
  return (last?.[1] ?? said).replace(/^(?:Error|no connection): /, "");
}

function ended(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function numbers(version: string): number[] | undefined {
  const match = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version);
  return match === null ? undefined : match.slice(1).map(Number);
}
