// Refusals of a Bake: whose field is wrong, in one sentence.

import { KilnError } from "../../errors/index.ts";

/** Why a Bake can not be built as it is written. */
export type BakeReason =
  | "BakeFileInvalid"
  | "OverrideInvalid"
  | "TargetNotFound"
  | "TargetCircle"
  | "TargetNotSupported";

/** A refusal of the whole. */
export function refused(reason: BakeReason, message: string): KilnError {
  return new KilnError({ class: "User", reason, message });
}

/** A field of a target that can't be built here. `field` is as the file has it, such as `output[0].dest`. */
export function notSupported(target: string, field: string, why: string): KilnError {
  return refused("TargetNotSupported", `target "${target}": ${field} ${why}`);
}
