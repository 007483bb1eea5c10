// What every place is given when a file output is opened.

import type { HiddenAttrs, Materials } from "../agent.ts";
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

/** What a Secret says of this output, by attribute; nothing when none was named. */
export function hiddenOf({
  materials,
  exporter,
}: Pick<Opening, "materials" | "exporter">): HiddenAttrs["attrs"] {
  const mine = ({ list, index }: HiddenAttrs) => list === "outputs" && index === exporter;
  return materials.hidden?.find(mine)?.attrs ?? {};
}
