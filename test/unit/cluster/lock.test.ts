// Does one hold the lock at a time, and does a dead owner's lock not last?
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { identify } from "../../cluster/base/identity.ts";
import { withLock } from "../../cluster/base/lock.ts";

describe("lock between tools", () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "kiln-lock-"));
  const file = path.join(folder, "lock");
  after(() => rmSync(folder, { recursive: true }));

  it("a second holder begins after the first has ended", async () => {
    const order: string[] = [];
    let release: () => void = () => undefined;
    const first = withLock(file, async () => {
      order.push("first begins");
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      order.push("first ends");
    });
    const second = withLock(file, async () => order.push("second begins"));
    release();
    await Promise.all([first, second]);
    assert.deepEqual(order, ["first begins", "first ends", "second begins"]);
  });

  it("the lock of a process that has ended is taken over", async () => {
    writeFileSync(file, JSON.stringify({ ...identify(process.pid), startTime: "1" }));
    assert.equal(await withLock(file, async () => "mine"), "mine");
  });

  it("work that fails gives the lock back", async () => {
    await assert.rejects(
      withLock(file, () => Promise.reject(new Error("broken"))),
      /broken/,
    );
    assert.equal(existsSync(file), false);
  });
});
