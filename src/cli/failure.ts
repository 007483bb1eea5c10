// How a command of a BuildKit ends when it fails: what is printed, and the exit code.
import { BuildkitError, renderSource } from "../buildkit/index.ts";
import { KilnError } from "../errors/index.ts";

/** Exit codes besides 0; a signal ends with 128 and its number. */
export const exitCodes = { failed: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

const usageReasons = new Set(["InvalidFlag", "InvalidEndpoint"]);

/** The lines of the source that failed, then the error in a sentence. */
export function failureLines(error: unknown): string {
  const source =
    error instanceof BuildkitError && error.source !== undefined ? renderSource(error.source) : "";
  const sentence = error instanceof Error ? error.message : String(error);
  return `${source}error: ${sentence}\n`;
}

/** 2 when the command was asked the wrong way, else 1. */
export function exitCodeOf(error: unknown): number {
  return error instanceof KilnError && usageReasons.has(error.reason)
    ? exitCodes.usage
    : exitCodes.failed;
}
