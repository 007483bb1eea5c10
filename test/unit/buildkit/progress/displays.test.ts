// Recorded builds shown by us and by BuildKit's own display (recordings/, made by record.ts).

import assert from "node:assert/strict";
import type { Display, DisplaySize } from "../../../../src/buildkit/progress/display/display.ts";
import { plainDisplay } from "../../../../src/buildkit/progress/display/plain.ts";
import { statusLine } from "../../../../src/buildkit/progress/display/raw-json.ts";
import { ttyDisplay } from "../../../../src/buildkit/progress/display/tty.ts";
import { picturesOf, separator } from "./frames.ts";
import { batchesOf, linesOf, recorded, recordingNames, terminalSizes } from "./recordings.ts";

const stepMs = 4; // as tools/buildkit/progressui

function show(display: Display, recording: string, size: DisplaySize = { width: 80, height: 24 }) {
  let text = "";
  let nowMs = Date.UTC(2026, 0, 1);
  for (const events of batchesOf(recording)) {
    nowMs += stepMs;
    display.update(events, nowMs);
    text += display.render(nowMs, size);
  }
  return text + display.finish(nowMs, size);
}

/** Lines of each step: BuildKit lets chance decide which of several steps has the word. */
function byStep(text: string): Record<string, string> {
  const [steps = "", ...failures] = text.split(/^(?=------)/m);
  const names = new Map<string, string>();
  const lines: Record<string, string> = { failures: failures.join("") };
  for (const [, index = "", said = ""] of steps.matchAll(/^(#\d+) (.*)$/gm)) {
    const name = names.get(index) ?? said;
    names.set(index, name);
    if (said !== name && said !== "...") lines[name] = `${lines[name] ?? ""}${said}\n`;
    else lines[name] ??= "";
  }
  return lines;
}

/** A step after another: nothing is left to chance. */
const sequential = ["failure", "terminal", "export", "warnings"];

describe("the plain display prints what buildctl prints of", () => {
  for (const name of recordingNames) {
    it(name, () => {
      const [ours, theirs] = [show(plainDisplay(), name), recorded(`${name}.plain.txt`)];
      if (sequential.includes(name)) assert.equal(ours, theirs);
      else assert.deepEqual(byStep(ours), byStep(theirs));
    });
  }
});

/** BuildKit counts the members of a group and the group. */
const withoutCounts = (pictures: string): string => pictures.replace(/ \(\d+\/\d+\)/g, "");

describe("the terminal display draws what buildctl draws of", () => {
  for (const name of recordingNames) {
    for (const size of terminalSizes) {
      it(`${name} on ${size.width} × ${size.height}`, () => {
        const tidy = name === "groups" ? withoutCounts : (text: string): string => text;
        const ours = tidy(picturesOf(show(ttyDisplay(), name, size))).split(separator);
        const theirs = tidy(recorded(`${name}.${size.width}x${size.height}.txt`)).split(separator);
        assert.deepEqual(ours.slice(-2), theirs.slice(-2)); // the last picture, and failures
        // BuildKit draws at most one picture a millisecond: it may leave some out.
        let at = 0;
        for (const picture of theirs) {
          const found = ours.indexOf(picture, at);
          assert.notEqual(found, -1, `after ${at} of our pictures, not drawn:\n${picture}`);
          at = found;
        }
      });
    }
  }
});

describe("the JSON display writes what buildctl writes of", () => {
  for (const name of recordingNames) {
    it(name, () => {
      const ours = batchesOf(name).map((events) => statusLine(events).trimEnd());
      // Where a file itself came from is nothing that we read.
      const theirs = linesOf(name).map((line) =>
        line.replace(/"definition":\{.*?(?="language")/g, ""),
      );
      assert.deepEqual(ours, theirs);
    });
  }
});
