// What the displays of a build have in common: events go in, text comes out. Time and the terminal's size come from
// outside and nothing is written here, so the same events give the same text.
import type { SolveEvent } from "../events.ts";

/** Columns and rows of a terminal. */
export interface DisplaySize {
  readonly width: number;
  readonly height: number;
}

/** One way to show a build. */
export interface Display {
  /** Takes events, best all of one status message at once; `nowMs` is the local time, milliseconds. */
  update(events: readonly SolveEvent[], nowMs: number): void;
  /** What is to be written now; "" when nothing. Call it after updates, at most every 100 ms, and while nothing comes. */
  render(nowMs: number, size: DisplaySize): string;
  /** The last text: the end of the build, and the output of steps that failed. */
  finish(nowMs: number, size: DisplaySize): string;
}

/** Shows nothing. */
export function quietDisplay(): Display {
  return { update: () => undefined, render: () => "", finish: () => "" };
}
