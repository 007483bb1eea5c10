import assert from "node:assert/strict";
import { rootLogger } from "../../src/log.ts";

/** What a logger wrote of one line. */
function lineOf(write: (log: ReturnType<typeof rootLogger>) => void): Record<string, unknown> {
  const lines: string[] = [];
  write(rootLogger("debug", { write: (line) => void lines.push(line) }));
  assert.equal(lines.length, 1);
  return JSON.parse(lines[0] ?? "") as Record<string, unknown>;
}

describe("rootLogger", () => {
  it("writes one JSON line with the level's name and the time", () => {
    const line = lineOf((log) => log.info({ run: "shop/web" }, "solve started"));
    assert.equal(line["level"], "info");
    assert.equal(line["msg"], "solve started");
    assert.equal(line["run"], "shop/web");
    assert.match(String(line["time"]), /^\d{4}-\d\d-\d\dT/);
  });

  const canary = "c4n4ry";
  const places: readonly [string, Record<string, unknown>][] = [
    ["at the top", { password: canary }],
    ["one level down", { login: { token: canary } }],
    ["two levels down", { request: { headers: { authorization: canary } } }],
    ["in a Secret that slipped in", { object: { data: { key: canary }, kind: "Secret" } }],
  ];
  for (const [where, fields] of places) {
    it(`keeps a secret ${where} out of the line`, () => {
      const line = lineOf((log) => log.info(fields, "here"));
      assert.ok(!JSON.stringify(line).includes(canary));
    });
  }

  it("says nothing below its level", () => {
    const lines: string[] = [];
    rootLogger("warn", { write: (line) => void lines.push(line) }).info("quiet");
    assert.deepEqual(lines, []);
  });
});
