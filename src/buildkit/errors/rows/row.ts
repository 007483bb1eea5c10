// The form of one row of the error table.
import type { ErrorClass } from "../../../errors/index.ts";

/** What must hold for a row to be the failure; all that is given must. */
export interface RowCondition {
  /** Short name of a typed detail: "ExitMessage". */
  readonly detail?: string;
  /** A second detail that must be there. */
  readonly beside?: string;
  readonly codes?: readonly number[];
  readonly text?: RegExp;
  /** A second text that must be there. */
  readonly about?: RegExp;
}

/** A row as it is written: reason, class, whether it may pass by itself, condition, and what the person can do. */
export type Row = readonly [
  reason: string,
  errorClass: ErrorClass,
  retry: "retry" | "final",
  when: RowCondition,
  advice: string,
];
