// A flag that makes no sense: whose it is, and what to write instead.
import { KilnError } from "../errors/index.ts";

/** User/InvalidFlag; `flag` with its dashes. The command ends with code 2. */
export function invalidFlag(flag: string, why: string, cause?: unknown): KilnError {
  return new KilnError({
    class: "User",
    reason: "InvalidFlag",
    message: `${flag}: ${why}`,
    cause,
  });
}
