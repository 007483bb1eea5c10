// Progress as lines for a log, as `buildctl --progress plain` prints them. One step at a time has the word: who has
// it keeps it for some seconds, so that lines of one step stay together, unless another has more to say.
// Behaviour: util/progress/progressui/printer.go, BuildKit v0.34.2.
import { instant, type LogEvent, type SolveEvent, type VertexEvent } from "../events.ts";
import { secondsOf } from "../intervals.ts";
import { decodeChunk, pushText, type LogLine } from "../log-tail.ts";
import {
  advance,
  isCanceled,
  isCompleted,
  isStarted,
  noProgress,
  secondsInto,
  stepOf,
  type ProgressState,
  type Step,
  type StepPart,
} from "../state.ts";
import type { Display } from "./display.ts";
import { failureText } from "./failures.ts";
import { amountText, fixed, lineText } from "./format.ts";
import { nextSpeaker, type Speaker } from "./speaker.ts";

const failureLines = 10;
const minPartSeconds = 5;
const minPartShare = 0.05;
/** An unfinished line is not held for longer than this, in characters. */
const maxLineCharacters = 64 * 1024;
/** A step that waits for the word with more than this gets it. */
const maxWaitingCharacters = 1024 * 1024;

/** What a step has to say and has not said yet. */
interface Voice extends Speaker {
  readonly id: string;
  index: number;
  lines: LogLine[];
  /** The last line may go on. */
  open: boolean;
  /** Characters of the first line that are printed, its number and time included. */
  printed: number;
  waiting: number;
  held: Partial<Record<1 | 2, Uint8Array>>;
  readonly changedParts: Set<string>;
  warned: number;
}

interface Told {
  readonly current: number;
  readonly timestamp: bigint;
}

/** Lines for a log. */
export function plainDisplay(): Display {
  return new PlainDisplay();
}

class PlainDisplay implements Display {
  #state: ProgressState = noProgress;
  #current = "";
  #hasSpoken = false;
  #lastIndex = 0;
  readonly #voices = new Map<string, Voice>();
  readonly #vertices = new Map<string, VertexEvent>();
  /** How far a part was when it was last printed; by id alone, as in BuildKit. */
  readonly #told = new Map<string, Told>();
  /** Steps with news. */
  readonly #news = new Set<string>();

  update(events: readonly SolveEvent[], nowMs: number): void {
    this.#state = advance(this.#state, events, nowMs);
    for (const event of events) {
      if (event.kind === "vertex" && !this.#isChange(event)) continue;
      const step = stepOf(this.#state, event.kind === "vertex" ? event.digest : event.vertex);
      if (step === undefined || step.hidden) continue;
      const voice = this.#voice(step.id);
      if (voice.count === 0) voice.sinceMs = nowMs;
      voice.count++;
      if (event.kind === "progress") voice.changedParts.add(event.id);
      if (event.kind === "log") hear(voice, step, event);
      if (event.kind !== "warning") this.#news.add(step.id); // warnings wait for other news
    }
  }

  render(nowMs: number): string {
    const completed = new Set<string>();
    const running = new Set<string>();
    for (const id of this.#news) {
      const step = this.#state.steps.get(id);
      if (step !== undefined) (isCompleted(step) ? completed : running).add(id);
    }
    const current = this.#current;
    let text = completed.has(current) ? this.#speak(current) : "";
    for (const id of this.#byEnd(completed)) if (id !== current) text += this.#speak(id);
    text += this.#speakRunning({ current, currentEnded: completed.has(current), running, nowMs });
    for (const voice of this.#voices.values())
      if (voice.waiting > maxWaitingCharacters) text += this.#speak(voice.id);
    return text;
  }

  finish(nowMs: number): string {
    return this.render(nowMs) + failureText(this.#state, failureLines);
  }

  /** Whether a record of a vertex says something new. */
  #isChange(event: VertexEvent): boolean {
    if (event.started === undefined) return false;
    const before = this.#vertices.get(event.digest);
    this.#vertices.set(event.digest, event);
    return (
      before === undefined ||
      event.completed !== undefined ||
      before.name !== event.name ||
      before.started?.getTime() !== event.started.getTime() ||
      before.cached !== event.cached ||
      before.error !== event.error
    );
  }

  #voice(id: string): Voice {
    const known = this.#voices.get(id);
    if (known !== undefined) return known;
    const voice: Voice = {
      ...{ id, index: 0, lines: [] as LogLine[], open: false, printed: 0, waiting: 0, held: {} },
      ...{ changedParts: new Set<string>(), warned: 0, count: 0, sinceMs: 0 },
    };
    this.#voices.set(id, voice);
    return voice;
  }

  #byEnd(ids: ReadonlySet<string>): string[] {
    const endOf = (id: string): bigint => this.#state.steps.get(id)?.intervals.at(-1)?.stop ?? 0n;
    return [...ids].sort((a, b) => (endOf(a) < endOf(b) ? -1 : endOf(a) > endOf(b) ? 1 : 0));
  }

  #speakRunning(now: {
    readonly current: string;
    readonly currentEnded: boolean;
    readonly running: ReadonlySet<string>;
    readonly nowMs: number;
  }): string {
    const { current, running } = now;
    if (running.size === 0) {
      if (this.#isRunning(current)) return "";
      const open = this.#state.shown.find((id) => this.#isRunning(id));
      return open === undefined ? "" : this.#speak(open);
    }
    const text = running.has(current) ? this.#speak(current) : "";
    const next = nextSpeaker(this.#voices, now);
    return next === undefined ? text : text + this.#speak(next);
  }

  #isRunning(id: string): boolean {
    const step = this.#state.steps.get(id);
    return step !== undefined && isStarted(step) && !isCompleted(step) && !step.hidden;
  }

  /** All that a step has to say; it has the word until it is done or another one speaks. */
  #speak(id: string): string {
    const step = this.#state.steps.get(id);
    if (step === undefined) return "";
    const voice = this.#voice(id);
    if (voice.index === 0) voice.index = ++this.#lastIndex;
    const head = this.#takeTheWord(step, voice);
    const parts = this.#speakParts(step, voice);
    const warnings = step.warnings
      .slice(voice.warned)
      .map(({ short }) => `#${voice.index} WARN: ${short}\n`);
    voice.warned = step.warnings.length;
    const text = head + parts.text + warnings.join("") + speakLines(voice);
    this.#current = id;
    this.#news.delete(id);
    if (!isCompleted(step) || parts.isOpen) return text;
    this.#current = "";
    voice.count = 0;
    const cut = voice.open ? "\n" : "";
    Object.assign(voice, { lines: [], open: false, printed: 0 });
    return `${text}${cut}#${voice.index} ${endText(step)}\n`;
  }

  #takeTheWord(step: Step, voice: Voice): string {
    if (step.id === this.#current) return "";
    let text = "";
    const old = this.#voices.get(this.#current);
    if (old !== undefined) {
      text += `${old.open ? "\n" : ""}#${old.index} ...\n`;
      old.printed = 0;
      old.count = 0;
    }
    if (this.#hasSpoken) text += "\n";
    this.#hasSpoken = true;
    return `${text}#${voice.index} ${step.name}\n`;
  }

  #speakParts(step: Step, voice: Voice): { readonly text: string; readonly isOpen: boolean } {
    let text = "";
    let isOpen = false; // importing a cache may report after its step is done
    for (const part of step.parts) {
      if (part.started === undefined || !voice.changedParts.has(part.id)) continue;
      if (!isWorthTelling(part, this.#told.get(part.id))) continue;
      this.#told.set(part.id, { current: part.current, timestamp: part.timestamp });
      if (part.completed === undefined) isOpen = true;
      text += `#${voice.index} ${partText(part)}\n`;
    }
    voice.changedParts.clear();
    return { text, isOpen };
  }
}

function hear(voice: Voice, step: Step, event: LogEvent): void {
  const { text, held } = decodeChunk(voice.held[event.stream], event.data);
  voice.held = { ...voice.held, [event.stream]: held };
  const seconds = secondsInto(step, instant(event.timestamp, event.nanos?.timestamp));
  const open = pushText(voice.lines, voice.open, { text, seconds });
  voice.open = open && (voice.lines.at(-1)?.text.length ?? 0) < maxLineCharacters;
  voice.waiting += text.length;
}

function speakLines(voice: Voice): string {
  let text = "";
  for (const [index, line] of voice.lines.entries()) {
    const whole = lineText(line);
    const goesOn = index === 0 && voice.printed !== 0;
    text += goesOn ? whole.slice(voice.printed) : `#${voice.index} ${whole}`;
    if (index !== voice.lines.length - 1 || !voice.open) text += "\n";
  }
  const last = voice.lines.at(-1);
  if (last !== undefined) {
    voice.lines = voice.open ? [last] : [];
    voice.printed = voice.open ? lineText(last).length : 0;
  }
  voice.waiting = 0;
  return text;
}

function isWorthTelling(part: StepPart, last: Told | undefined): boolean {
  if (last === undefined || part.completed !== undefined) return true;
  const share = part.total > 0 ? (part.current - last.current) / part.total : 0;
  const seconds = Number(part.timestamp - last.timestamp) / 1_000_000_000;
  return share >= minPartShare || seconds >= minPartSeconds;
}

function partText(part: StepPart): string {
  const amount = amountText(part.current, part.total);
  const end = part.completed ?? part.timestamp;
  const seconds = Number(end - (part.started ?? end)) / 1_000_000_000;
  return [
    part.id,
    ...(amount === "" ? [] : [amount]),
    ...(seconds > 0.01 ? [`${fixed(seconds, 1)}s`] : []),
    ...(part.completed === undefined ? [] : ["done"]),
  ].join(" ");
}

function endText(step: Step): string {
  if (isCanceled(step)) return "CANCELED";
  if (step.error !== undefined) return `ERROR: ${step.error}`;
  if (step.cached) return "CACHED";
  return `DONE ${fixed(secondsOf(step.intervals, 0n), 1)}s`;
}
