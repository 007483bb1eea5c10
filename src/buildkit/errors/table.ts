// Which failure is whose, and what to do about it: the one table that decides class, reason and retryability.
// Typed details come first; text is matched only where BuildKit v0.34.2 gives no type. Pure.
import type { ErrorClass } from "../../errors/index.ts";
import type { ErrorFacts } from "./details.ts";
import { daemonRows } from "./rows/daemon.ts";
import { endingRows } from "./rows/ending.ts";
import { remoteRows } from "./rows/remote.ts";
import { requestRows } from "./rows/request.ts";
import type { RowCondition } from "./rows/row.ts";
import { typedRows } from "./rows/typed.ts";

/** One row: `when` holds ⇒ this is the failure. Rows are tried from the top. */
export interface ErrorRow {
  /** CamelCase, stable; each has a row in docs/troubleshooting.md. */
  readonly reason: string;
  readonly class: ErrorClass;
  readonly retryable: boolean;
  readonly when: RowCondition;
  /** What the person can do; follows what happened. */
  readonly advice: string;
}

const rows = [...typedRows, ...daemonRows, ...remoteRows, ...requestRows, ...endingRows];

/** The table. The last row always holds. */
export const errorTable: readonly ErrorRow[] = rows.map(
  ([reason, errorClass, retry, when, advice]) => ({
    reason,
    class: errorClass,
    retryable: retry === "retry",
    when,
    advice,
  }),
);

const headChars = 4096;

/** Messages come from a daemon that runs other people's Dockerfiles: what is matched against them is bounded. */
function clipped(message: string): string {
  if (message.length <= 2 * headChars) return message;
  return `${message.slice(0, headChars)}\n${message.slice(-headChars)}`;
}

/** The first row that holds for these facts. */
export function rowOf(facts: ErrorFacts): ErrorRow {
  const message = clipped(facts.message);
  const row = errorTable.find(
    ({ when }) =>
      [when.detail, when.beside].every((kind) => kind === undefined || facts.kinds.has(kind)) &&
      (when.codes === undefined || when.codes.includes(facts.code)) &&
      (when.about === undefined || when.about.test(message)) &&
      (when.text === undefined || when.text.test(message)),
  );
  if (row === undefined) throw new TypeError("the error table has no last row");
  return row;
}
