// The display of buildx and buildctl on a terminal: one picture that is drawn over and over, in colours.
// Escape codes: ECMA-48; which: util/progress/progressui, BuildKit v0.34.2.
import type { SolveEvent } from "../events.ts";
import { advance, noProgress } from "../state.ts";
import type { Display, DisplaySize } from "./display.ts";
import { failureText } from "./failures.ts";
import { drawFrame, type Frame, type FrameLine, type Tone } from "./frame.ts";

/** Escape codes by tone; a tone without any is not coloured. */
export type Palette = Readonly<Partial<Record<Tone, string>>>;

const faint = "\x1b[2m";

/** The colours that people know. */
export const defaultPalette: Palette = {
  done: "\x1b[34m",
  canceled: "\x1b[33m",
  failed: "\x1b[31m",
  output: faint,
};

/** For those who set NO_COLOR: what is output is still fainter than what is said about it. */
export const colourlessPalette: Palette = { output: faint };

/** How the display looks. */
export interface TtyOptions {
  /** Default: `defaultPalette`. */
  readonly palette?: Palette;
  /** What is done, after "[+]". Default: "Building". */
  readonly phase?: string;
  /** Rows of output of one running step. Default: 6. */
  readonly outputRows?: number;
}

const reset = "\x1b[0m";
const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";
const maxFailureLines = 1_000;

function painted({ text, tone }: FrameLine, palette: Palette): string {
  const code = palette[tone];
  return code === undefined ? `${text}\n` : `${code}${text}\n${reset}`;
}

/** Text that draws a picture over the one before, of which this many lines are below the cursor's first line. */
export function paint(
  frame: Frame,
  before: number,
  { palette, width }: { readonly palette: Palette; readonly width: number },
): string {
  const up = before > 0 ? `\x1b[${before}A\r` : "\r";
  const lines = frame.lines.map((line) => painted(line, palette)).join("");
  const missing = before - frame.lines.length;
  const blank = missing > 0 ? `${`${" ".repeat(width)}\n`.repeat(missing)}\x1b[${missing}A\r` : "";
  return `${up}${hideCursor}${lines}${blank}${showCursor}`;
}

/** A picture for a terminal. */
export function ttyDisplay(options: TtyOptions = {}): Display {
  const palette = options.palette ?? defaultPalette;
  const shownBefore = new Map<string, number>();
  let state = noProgress;
  let before = 0;
  const draw = (nowMs: number, size: DisplaySize, isFinal: boolean): string => {
    const frame = drawFrame(state, {
      ...{ size, nowMs, isFinal, shownBefore },
      phase: options.phase ?? "Building",
      outputRows: options.outputRows ?? 6,
    });
    for (const id of frame.shown) shownBefore.set(id, (shownBefore.get(id) ?? 0) + 1);
    const text = paint(frame, before, { palette, width: size.width });
    before = frame.lines.length;
    return text;
  };
  return {
    update(events: readonly SolveEvent[], nowMs: number) {
      state = advance(state, events, nowMs);
    },
    render: (nowMs, size) => draw(nowMs, size, false),
    finish: (nowMs, size) => draw(nowMs, size, true) + failureText(state, maxFailureLines),
  };
}
