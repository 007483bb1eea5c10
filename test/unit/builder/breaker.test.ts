// When does the circuit breaker open, close, and let a question through?

import assert from "node:assert/strict";
import {
  advance,
  type Breaker,
  type BreakerEvent,
  pauseMs,
  unknownBreaker,
} from "../../../src/builder/health/breaker.ts";

/** Events, each with the milliseconds before it. */
type Story = readonly (readonly [event: BreakerEvent, afterMs: number])[];

function told(story: Story): Breaker {
  let now = 1_000;
  return story.reduce((breaker, [event, afterMs]) => {
    now += afterMs;
    return advance(breaker, event, now);
  }, unknownBreaker);
}

const ok: Story = [
  ["asked", 0],
  ["answered", 10],
];
const bad: Story = [
  ["asked", 0],
  ["failed", 10],
];
const times = (count: number, story: Story): Story =>
  Array.from({ length: count }, () => story).flat();

const table: readonly (readonly [
  what: string,
  story: Story,
  state: Breaker["state"],
  pause: number,
])[] = [
  ["nothing happened: a first question finds out", [], "half-open", 250],
  ["it answers", ok, "closed", 5_000],
  ["the first question fails: nobody has seen it work", bad, "open", 250],
  ["one question fails after an answer: that may happen", [...ok, ...bad], "closed", 250],
  ["two fail after an answer", [...ok, ...bad, ...bad], "open", 500],
  ["an answer after one failure makes up for it", [...ok, ...bad, ...ok, ...bad], "closed", 250],
  ["the next question after it opened", [...bad, ["asked", 250]], "half-open", 250],
  ["the wait doubles", times(4, bad), "open", 2_000],
  ["up to the longest", times(40, bad), "open", 15_000],
  ["it closes with the first answer", [...times(9, bad), ...ok], "closed", 5_000],
  [
    "one that comes and goes is asked less often",
    [...ok, ...times(2, bad), ...ok, ...times(2, bad), ...ok, ...times(2, bad)],
    "open",
    2_000,
  ],
  [
    "one that was back for a minute starts anew",
    [
      ...ok,
      ...times(2, bad),
      ...ok,
      ...times(2, bad),
      ...ok,
      ["answered", 60_000],
      ...times(2, bad),
    ],
    "open",
    500,
  ],
];

describe("the circuit breaker of an instance", () => {
  for (const [what, story, state, pause] of table) {
    it(`is ${state} when ${what}`, () => {
      const breaker = told(story);
      assert.equal(breaker.state, state);
      assert.equal(pauseMs(breaker), pause);
    });
  }
});
