// What every place is given when a file output is opened.

import type { Materials } from "../agent.ts";
import type { Budget } from "./collected.ts";
import type { FileFacts, OutputPlace } from "./places.ts";

/** One file output of a request. */
export interface Opening {
  readonly exporter: number;
  readonly type: string;
  readonly place: OutputPlace;
  readonly materials: Materials;
  readonly signal: AbortSignal;
  /** Of all ConfigMaps. */
  readonly budget: Budget;
  readonly done: (facts: FileFacts) => void;
  readonly fail: (error: unknown) => void;
}
