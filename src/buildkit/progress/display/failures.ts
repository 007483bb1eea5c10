// What steps that failed had printed, told once more at the end of a build. Pure.
import { isCanceled, type ProgressState } from "../state.ts";
import { lineText } from "./format.ts";

/** The last lines of each failed step, as buildctl prints them below everything else; "" when none failed. */
export function failureText(state: ProgressState, maxLines: number): string {
  let text = "";
  for (const id of state.shown) {
    const step = state.steps.get(id);
    if (step?.error === undefined || isCanceled(step)) continue;
    const lines = step.output.lines.slice(-maxLines).map((line) => `${lineText(line)}\n`);
    text += `------\n > ${step.name}:\n${lines.join("")}------\n`;
  }
  return text;
}
