// What a display on a terminal wrote → its pictures, so that ours can be compared with BuildKit's. Escape codes of
// colours stay; those of the cursor, and how long steps have run by the clock of who drew them, do not.

const begin = "\u001b[?25l";
const end = "\u001b[?25h";
const escape = "\u001b";
const cursor = new RegExp(`${escape}\\[\\d+[AG]\r?|^\r`, "g");
const time = new RegExp(` +\\d+\\.\\ds(?=${escape}|$)`, "gm");
const blankLine = /^ +$/;

/** Distinct pictures in order, the last with the times of its steps, then what came after it; joined by lines of "~". */
export function picturesOf(written: string): string {
  const parts = written.replaceAll("\r\n", "\n").split(begin).slice(1); // a terminal adds \r
  const pictures = parts.map((part) => tidy(part.slice(0, part.indexOf(end))));
  const last = pictures.pop() ?? "";
  const before = pictures.map(withoutTimes).filter((picture) => picture !== "");
  const distinct = before.filter((picture, index) => picture !== before[index - 1]);
  const rest = (parts.at(-1)?.split(end)[1] ?? "").replace(cursor, "");
  return [...distinct, withoutHeaderTime(last), rest].join(separator);
}

/** Between pictures. */
export const separator = "\n~\n";

function tidy(picture: string): string {
  const lines = picture.replace(cursor, "").replaceAll("\n\u001b[0m", "\u001b[0m\n").split("\n");
  // BuildKit draws a warning only when something else of its step changes; we draw it at once.
  return lines
    .filter((line) => !blankLine.test(line) && !line.includes("=> WARN: "))
    .join("\n")
    .trimEnd();
}

function withoutTimes(picture: string): string {
  return withoutHeaderTime(picture).replace(time, " T").replace(/ +$/gm, "");
}

function withoutHeaderTime(picture: string): string {
  return picture.replace(/^(\[\+\] \S+) \d+\.\ds(.*?) *$/m, "$1 T$2");
}
