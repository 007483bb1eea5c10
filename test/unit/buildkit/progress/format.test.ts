// Numbers as Go prints them, a small terminal, and how the lines of a plain log are shared out.

import assert from "node:assert/strict";
import { bytesText, fixed, lineText } from "../../../../src/buildkit/progress/display/format.ts";
import { plainDisplay } from "../../../../src/buildkit/progress/display/plain.ts";
import { rfc3339Nano } from "../../../../src/buildkit/progress/display/raw-json.ts";
import { terminalRows } from "../../../../src/buildkit/progress/display/terminal.ts";
import { colourlessPalette, ttyDisplay } from "../../../../src/buildkit/progress/display/tty.ts";
import type { SolveEvent } from "../../../../src/buildkit/progress/events.ts";
import { batchesOf } from "./recordings.ts";

const size = { width: 80, height: 24 };

describe("numbers in a log", () => {
  for (const [value, digits, text] of [
    [0.25, 1, "0.2"],
    [0.75, 1, "0.8"],
    [2.5, 0, "2"],
    [1.005, 2, "1.00"],
    [12.34, 1, "12.3"],
    [0, 3, "0.000"],
  ] as const) {
    it(`print ${value} as ${text}`, () => assert.equal(fixed(value, digits), text));
  }

  for (const [value, text] of [
    [0, "0B"],
    [999, "999B"],
    [1_000, "1.00kB"],
    [1_125, "1.12kB"],
    [1_500_000, "1.50MB"],
    [12_345_678_901, "12.35GB"],
  ] as const) {
    it(`print ${value} bytes as ${text}`, () => assert.equal(bytesText(value), text));
  }

  it("have fewer places the bigger they are", () => {
    const texts = [1.23456, 12.3456, 123.456].map((seconds) => lineText({ seconds, text: "x" }));
    assert.deepEqual(texts, ["1.235 x", "12.35 x", "123.5 x"]);
  });

  it("print times with the places they have", () => {
    const second = BigInt(Date.UTC(2026, 0, 2, 3, 4, 5)) * 1_000_000n;
    assert.deepEqual(
      [0n, 1n, 120_000_000n].map((nanos) => rfc3339Nano(second + nanos)),
      ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000001Z", "2026-01-02T03:04:05.12Z"],
    );
  });
});

describe("a small terminal", () => {
  for (const [name, output, rows] of [
    ["wraps", "abcdefgh", ["abcde", "fgh  "]],
    ["scrolls", "a\nb\nc\n", ["b    ", "c    "]],
    ["goes back in its line", "1%\r22%", ["22%  ", "     "]],
    ["goes back by one", "ab\bc", ["ac   ", "     "]],
    ["passes over colours and titles", "\u001b[31ma\u001b]0;t\u0007b", ["ab   ", "     "]],
    ["moves up and erases", "abc\nd\u001b[A\u001b[K", ["a    ", "d    "]],
    ["takes an escape that is none", "a\u001b", ["a    ", "     "]],
    ["stays inside", "\u001b[99;99Hx\u001b[99A\u001b[99Dy", ["y    ", "    x"]],
  ] as const) {
    it(name, () => assert.deepEqual(terminalRows(output, { width: 5, height: 2 }), rows));
  }
});

const escape = "\u001b";
const codes = new RegExp(`${escape}\\[[?\\d;]*[a-zA-Z]|\r`, "g");

const begun = (digest: string, at: number): SolveEvent => ({
  ...{ kind: "vertex", digest, name: `step ${digest}`, inputs: [], cached: false },
  started: new Date(at),
});

const said = (vertex: string, text: string): SolveEvent => ({
  ...{ kind: "log", vertex, stream: 1, data: Buffer.from(text), timestamp: new Date(1) },
});

describe("a plain log", () => {
  it("leaves the word to a step for some seconds, then hands it over", () => {
    const display = plainDisplay();
    const text = (nowMs: number, ...events: SolveEvent[]): string => {
      display.update(events, nowMs);
      return display.render(nowMs, size);
    };
    assert.equal(text(1, begun("a", 1)), "#1 step a\n");
    assert.equal(text(2, begun("b", 1), said("b", "hi\n")), "");
    assert.equal(text(3_000, said("a", "x\n")), "#1 0.000 x\n");
    assert.match(
      text(11_000, said("b", "ho\n")),
      /^#1 \.\.\.\n\n#2 step b\n#2 0\.000 hi\n#2 0\.000 ho\n$/,
    );
  });

  it("goes on in a line that was not finished", () => {
    const display = plainDisplay();
    let text = "";
    for (const piece of ["half", " a line", "\nnext\n"]) {
      display.update([begun("a", 1), said("a", piece)], 1);
      text += display.render(1, size);
    }
    assert.equal(text, "#1 step a\n#1 0.000 half a line\n#1 0.000 next\n");
  });

  it("does not hold an endless line, nor what a step without the word prints", () => {
    const display = plainDisplay();
    display.update([begun("a", 1)], 1);
    display.render(1, size);
    display.update([begun("b", 1), said("b", "x".repeat(2_000_000))], 2);
    assert.ok(display.render(2, size).includes("x".repeat(2_000_000)));
    display.update([said("b", "y")], 3);
    assert.equal(display.render(3, size), "#2 0.000 y");
  });
});

describe("a picture for a terminal", () => {
  it("has no colours when they are not wanted", () => {
    const display = ttyDisplay({ palette: colourlessPalette });
    for (const events of batchesOf("failure")) display.update(events, 0);
    assert.ok(!["\u001b[31m", "\u001b[34m"].some((code) => display.finish(0, size).includes(code)));
  });

  it("has no line that is wider than the terminal", () => {
    for (const width of [1, 10, 20, 40, 200]) {
      const display = ttyDisplay({ palette: {} });
      let text = "";
      for (const events of batchesOf("terminal")) {
        display.update(events, 0);
        text = display.render(0, { width, height: 30 });
        const lines = text.replace(codes, "").split("\n");
        assert.ok(
          lines.every((line) => line.length <= Math.max(width, 1)),
          `${width}`,
        );
      }
    }
  });
});
