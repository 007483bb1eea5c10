// One picture of a build for a terminal: a header, a line for each step and its parts, and the last output of steps
// that run, as many as there is room for. Pure. Layout: util/progress/progressui/display.go, BuildKit v0.34.2.
import { secondsOf, type Interval } from "../intervals.ts";
import {
  countSteps,
  daemonTime,
  isCanceled,
  isCompleted,
  type ProgressState,
  type Step,
} from "../state.ts";
import type { DisplaySize } from "./display.ts";
import { amountText, fixed } from "./format.ts";
import { terminalRows } from "./terminal.ts";

/** How a line is meant: which colour it gets is not known here. */
export type Tone = "header" | "running" | "done" | "canceled" | "failed" | "output";

/** A line of a picture, padded to the width. */
export interface FrameLine {
  readonly text: string;
  readonly tone: Tone;
}

/** What a picture depends on besides the state. */
export interface FrameOptions {
  readonly size: DisplaySize;
  /** Local time, milliseconds. */
  readonly nowMs: number;
  /** The last picture: whole, whatever the height. */
  readonly isFinal: boolean;
  /** What is done, after "[+]". */
  readonly phase: string;
  /** Rows of output of one step, when the terminal is high enough; at least 1. */
  readonly outputRows: number;
  /** How often the output of each step was shown: a step that has the room keeps it. */
  readonly shownBefore: ReadonlyMap<string, number>;
}

/** A picture, and the steps whose output is in it. */
export interface Frame {
  readonly lines: readonly FrameLine[];
  readonly shown: readonly string[];
}

const margin = 10;
const minOutputRows = 6;
/** What a terminal shows at most fits in this many characters for each cell, but for odd control sequences. */
const charactersPerCell = 4;

interface Row {
  readonly name: string;
  readonly amount: string;
  readonly intervals: readonly Interval[];
  readonly isCompleted: boolean;
  readonly tone: Tone;
  readonly step?: Step;
}

/** Draws the state. */
export function drawFrame(state: ProgressState, options: FrameOptions): Frame {
  const { size, nowMs } = options;
  const now = daemonTime(state, nowMs);
  const all = state.shown.flatMap((id) => rowsOf(state.steps.get(id)));
  const { windows, hidden } = outputWindows(all, options);
  const rows = options.isFinal ? all : fitHeight(all, size.height - 2 - hidden);
  const lines: FrameLine[] = [{ text: header(state, options), tone: "header" }];
  for (const row of rows) {
    const text = rowText(row, size.width, now);
    if (text === undefined) continue;
    lines.push({ text, tone: row.isCompleted ? row.tone : "running" });
    for (const output of windows.get(row.step?.id ?? "") ?? []) {
      if (row.step !== undefined) lines.push({ text: ` => => # ${output}`, tone: "output" });
    }
  }
  return { lines, shown: [...windows.keys()] };
}

function header(state: ProgressState, { size, nowMs, isFinal, phase }: FrameOptions): string {
  const { total, completed } = countSteps(state);
  const began = state.began?.daemon;
  const seconds =
    began === undefined ? 0 : Number(daemonTime(state, nowMs) - began) / 1_000_000_000;
  const isFinished = completed > 0 && completed === total && isFinal;
  const text = `[+] ${phase} ${fixed(seconds, 1)}s (${completed}/${total}) ${isFinished ? "FINISHED" : ""}`;
  return text.padEnd(size.width).slice(0, size.width);
}

function toneOf(step: Step): Tone {
  if (isCanceled(step)) return "canceled";
  return step.error === undefined ? "done" : "failed";
}

function nameOf(step: Step): string {
  const name = step.name.replaceAll("\t", " ");
  const outcome = isCanceled(step) ? "CANCELED " : step.error === undefined ? "" : "ERROR ";
  return `${step.cached ? "CACHED " : ""}${outcome}${name}`;
}

function rowsOf(step: Step | undefined): Row[] {
  if (step === undefined) return [];
  const own: Row = {
    name: nameOf(step),
    amount: "",
    intervals: step.intervals,
    isCompleted: isCompleted(step),
    tone: toneOf(step),
    step,
  };
  const parts = step.parts.flatMap((part): Row[] => {
    const { started, completed } = part;
    if (started === undefined) return [];
    return [
      {
        name: `=> ${part.id}`,
        amount: amountText(part.current, part.total),
        intervals: [
          completed === undefined ? { start: started } : { start: started, stop: completed },
        ],
        isCompleted: completed !== undefined,
        tone: "done",
      },
    ];
  });
  const warnings = step.warnings.map(
    ({ short }): Row => ({
      name: `WARN: ${short}`,
      amount: "",
      intervals: step.intervals.slice(-1),
      isCompleted: false,
      tone: "canceled",
    }),
  );
  return [own, ...parts, ...warnings];
}

function rowText(row: Row, width: number, now: bigint): string | undefined {
  if (row.intervals.length === 0) return undefined;
  const seconds = secondsOf(row.intervals, now);
  const timer = ` ${fixed(seconds < 0.05 ? 0 : seconds, 1)}s`;
  let left = width - " => ".length - timer.length - 2;
  const hasAmount = row.amount !== "" && left + row.amount.length > 20;
  if (hasAmount) left -= row.amount.length + 1;
  if (left < 12) return undefined; // no room to show anything of use
  const text = ` => ${clip(row.name, left)}${hasAmount ? ` ${row.amount}` : ""}`;
  return `${pad(text, width - timer.length - 2)} ${timer}`;
}

function clip(text: string, length: number): string {
  return text.length <= length ? text : Array.from(text).slice(0, length).join("");
}

function pad(text: string, length: number): string {
  const missing = length - Array.from(text).length;
  return missing > 0 ? text + " ".repeat(missing) : text;
}

/** Steps whose output is shown, with its rows; and how many rows of steps give way to it. */
function outputWindows(
  rows: readonly Row[],
  options: FrameOptions,
): { readonly windows: ReadonlyMap<string, readonly string[]>; readonly hidden: number } {
  const { size, shownBefore } = options;
  const weight = ({ id, output }: Step): number => output.bytes + (shownBefore.get(id) ?? 0) * 50;
  const candidates = rows
    .flatMap(({ step, isCompleted: isOver }) =>
      step === undefined || isOver || step.output.bytes === 0 ? [] : [step],
    )
    .sort((a, b) => weight(b) - weight(a));
  const height = Math.max(
    minOutputRows,
    Math.min(options.outputRows, size.height - minOutputRows - 1),
  );
  const room = height + 3;
  const windows = new Map<string, readonly string[]>();
  let free = size.height - 2 - rows.filter((row) => !row.isCompleted).length;
  let hidden = 0;
  for (const step of candidates) {
    if (free <= room) break;
    const used = outputRows(step, Math.max(size.width - margin, 1), height);
    windows.set(step.id, used);
    hidden += used.length;
    free -= room;
  }
  return { windows, hidden };
}

function outputRows(step: Step, width: number, height: number): string[] {
  const { lines, open } = step.output;
  const text = lines.map((line) => line.text).join("\n") + (open ? "" : "\n");
  // A long line is cut where it wraps, so that its rows are those that it has as a whole.
  const cut = Math.max(0, text.length - width * height * charactersPerCell);
  const column = cut - (text.lastIndexOf("\n", cut - 1) + 1);
  const end = text.slice(cut - (column % width));
  return terminalRows(end, { width, height }).filter((row) => row.trim() !== "");
}

/** The last rows that fit; rows that are done give way to running ones that would be cut off. */
function fitHeight(rows: readonly Row[], limit: number): readonly Row[] {
  if (limit < 0) return [];
  if (rows.length <= limit) return rows;
  const cut = rows.length - limit;
  const visible = rows.slice(cut);
  const running = rows.slice(0, cut).filter((row) => !row.isCompleted);
  const kept = visible.filter((row, index) => !row.isCompleted || index >= running.length);
  const freed = visible.length - kept.length;
  return [...running.slice(running.length - freed), ...kept];
}
