// Shows a build on standard error: picks the display, says when it draws, asks the terminal for its size.
import {
  colourlessPalette,
  defaultPalette,
  plainDisplay,
  quietDisplay,
  rawJsonDisplay,
  ttyDisplay,
  type Display,
  type DisplaySize,
  type Palette,
  type SolveEvent,
} from "../buildkit/index.ts";
import { invalidFlag } from "./flag-error.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where progress goes: standard error, or what stands for it in a test. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** A display at work. */
export interface Progress {
  add(event: SolveEvent): void;
  /** Draws the end. Call it once; nothing is drawn afterwards. */
  finish(): void;
}

const drawMs = 100;
const idleDrawMs = 150;
const defaultSize = { width: 80, height: 24 };

const colours: Readonly<Record<string, number>> = {
  ...{ black: 30, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36, white: 37 },
  default: 39,
  ...{ "light-black": 90, "light-red": 91, "light-green": 92, "light-yellow": 93 },
  ...{ "light-blue": 94, "light-magenta": 95, "light-cyan": 96, "light-white": 97 },
};

const tones: Readonly<Record<string, keyof Palette>> = {
  run: "done",
  cancel: "canceled",
  error: "failed",
};

/** Colours as the environment wants them: $NO_COLOR, and $BUILDKIT_COLORS such as "run=green:error=light-red". */
export function paletteOf(environment: Environment): Palette {
  if ((environment["NO_COLOR"] ?? "") !== "") return colourlessPalette;
  const palette: { -readonly [K in keyof Palette]: Palette[K] } = { ...defaultPalette };
  for (const field of (environment["BUILDKIT_COLORS"] ?? "").split(":")) {
    const [key = "", name = ""] = field.toLowerCase().split("=");
    const [tone, colour] = [tones[key], colours[name]];
    if (tone !== undefined && colour !== undefined) palette[tone] = `\u001b[${colour}m`;
  }
  return palette;
}

function displayOf(mode: string, stream: ProgressStream, environment: Environment): Display {
  const isTerminal = stream.isTTY === true;
  if (mode === "quiet") return quietDisplay();
  if (mode === "rawjson") return rawJsonDisplay();
  if (mode === "tty" && !isTerminal)
    throw invalidFlag("--progress", "tty needs standard error to be a terminal; use plain.");
  if (mode === "plain" || !isTerminal) return plainDisplay();
  const rows = Number(environment["BUILDKIT_TTY_LOG_LINES"]);
  return ttyDisplay({
    palette: paletteOf(environment),
    ...(Number.isInteger(rows) && rows > 0 ? { outputRows: rows } : {}),
  });
}

/** Begins to show. `mode` is a value of --progress. Throws KilnError User/InvalidFlag for tty without a terminal. */
export function showProgress(
  mode: string,
  stream: ProgressStream,
  environment: Environment,
): Progress {
  const display = displayOf(mode, stream, environment);
  const isLive = stream.isTTY === true && mode !== "plain" && mode !== "rawjson";
  let waiting: SolveEvent[] = [];
  let timer: NodeJS.Timeout | undefined;
  let drawnAt = 0;
  const size = (): DisplaySize => ({
    width: stream.columns ?? defaultSize.width,
    height: stream.rows ?? defaultSize.height,
  });
  const write = (text: string): void => {
    if (text !== "") stream.write(text);
  };
  const take = (): void => {
    if (waiting.length === 0) return;
    display.update(waiting, Date.now());
    waiting = [];
  };
  const draw = (): void => {
    timer = undefined;
    drawnAt = Date.now();
    write(display.render(drawnAt, size()));
    schedule(idleDrawMs);
  };
  function schedule(ms: number): void {
    clearTimeout(timer);
    timer = setTimeout(draw, ms);
  }
  if (isLive) draw();
  return {
    add(event) {
      waiting.push(event);
      if (waiting.length > 1) return;
      // The events of one message come at once: they are taken together, after the last.
      queueMicrotask(() => {
        take();
        schedule(Math.max(0, drawnAt + drawMs - Date.now()));
      });
    },
    finish() {
      take();
      clearTimeout(timer);
      write(display.finish(Date.now(), size()));
    },
  };
}
