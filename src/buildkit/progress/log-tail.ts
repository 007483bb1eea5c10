// Chunks of a step's output → its lines, of which the last ones are kept. Pure.
// A chunk may end inside a line or a character; stdout and stderr make one text, each with its own characters.

/** One line of output, without its line break. */
export interface LogLine {
  /** Seconds after the step began, when the line began. */
  readonly seconds: number;
  /** UTF-8 decoded; bytes that are none are U+FFFD. */
  readonly text: string;
}

/** The end of a step's output. */
export interface LogTail {
  readonly lines: readonly LogLine[];
  /** The last line may go on. */
  readonly open: boolean;
  /** Lines that came before and are not kept. */
  readonly dropped: number;
  /** All that came, in bytes. */
  readonly bytes: number;
  /** First bytes of a character that the next chunk of a stream may end: at most 3. */
  readonly held: Readonly<Partial<Record<1 | 2, Uint8Array>>>;
}

/** What is kept of a step's output. */
export interface TailLimits {
  readonly lines: number;
  /** Characters of all lines; also the most that an unfinished line may have. */
  readonly characters: number;
}

/** No output yet. */
export const noOutput: LogTail = { lines: [], open: false, dropped: 0, bytes: 0, held: {} };

/** Where an unfinished character at the end of the bytes begins; their length when there is none. */
function unfinished(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue; // inside of a character
    const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return byte < 0xf8 && wanted > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** Text of a chunk, and what of it must wait for the next one. */
export function decodeChunk(
  held: Uint8Array | undefined,
  data: Uint8Array,
): { readonly text: string; readonly held: Uint8Array | undefined } {
  const chunk = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const bytes = held === undefined ? chunk : Buffer.concat([held, chunk]);
  const end = unfinished(bytes);
  return {
    text: bytes.toString("utf8", 0, end),
    held: end === bytes.length ? undefined : Uint8Array.from(bytes.subarray(end)),
  };
}

/**
 * Appends decoded text to the lines in place; `seconds` is when it came. Returns whether the last line may go on.
 * Unlimited: for what is printed soon.
 */
export function pushText(
  lines: LogLine[],
  open: boolean,
  { text, seconds }: { readonly text: string; readonly seconds: number },
): boolean {
  if (text === "") return open;
  const pieces = text.split("\n");
  const goesOn = pieces.at(-1) !== "";
  if (!goesOn) pieces.pop();
  const last = open ? lines.pop() : undefined;
  for (const [index, piece] of pieces.entries()) {
    const joins = index === 0 && last !== undefined;
    lines.push(
      joins ? { seconds: last.seconds, text: last.text + piece } : { seconds, text: piece },
    );
  }
  return goesOn;
}

/** Keeps the last lines within the limits; an endless line keeps its end. */
export function limitTail(tail: LogTail, limits: TailLimits): LogTail {
  let characters = 0;
  let from = tail.lines.length;
  while (from > 0 && tail.lines.length - from < limits.lines) {
    characters += tail.lines[from - 1]?.text.length ?? 0;
    if (characters > limits.characters) break;
    from--;
  }
  const last = tail.lines.at(-1);
  if (from === tail.lines.length && last !== undefined) {
    const text = last.text.slice(-limits.characters);
    const dropped = tail.dropped + tail.lines.length - 1;
    return { ...tail, lines: [{ seconds: last.seconds, text }], dropped };
  }
  if (from === 0) return tail;
  return { ...tail, lines: tail.lines.slice(from), dropped: tail.dropped + from };
}

/** The tail after one more chunk of a stream. */
export function appendChunk(
  tail: LogTail,
  chunk: { readonly stream: 1 | 2; readonly data: Uint8Array; readonly seconds: number },
  limits: TailLimits,
): LogTail {
  const { text, held } = decodeChunk(tail.held[chunk.stream], chunk.data);
  const lines = [...tail.lines];
  const open = pushText(lines, tail.open, { text, seconds: chunk.seconds });
  const bytes = tail.bytes + chunk.data.byteLength;
  const both = { ...tail.held, [chunk.stream]: held };
  return limitTail({ lines, open, dropped: tail.dropped, bytes, held: both }, limits);
}
