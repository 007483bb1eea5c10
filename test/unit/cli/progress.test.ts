// When progress is drawn and how: the modes, the colours, and that nothing is written after the end.

import assert from "node:assert/strict";
import { defaultPalette } from "../../../src/buildkit/index.ts";
import type { SolveEvent } from "../../../src/buildkit/index.ts";
import { paletteOf, showProgress } from "../../../src/cli/progress.ts";

const event: SolveEvent = {
  ...{ kind: "vertex", digest: "v", name: "RUN x", inputs: [], cached: false },
  ...{ started: new Date(0), completed: new Date(1_000) },
};

/** What is written in a mode, to a terminal or not. */
async function written(mode: string, isTTY: boolean): Promise<string> {
  let text = "";
  const stream = { isTTY, columns: 40, rows: 10, write: (more: string) => (text += more) };
  const progress = showProgress(mode, stream, {});
  progress.add(event);
  await Promise.resolve();
  progress.finish();
  return text;
}

describe("progress on standard error", () => {
  it("is lines where there is no terminal, a picture where there is one", async () => {
    assert.equal(await written("auto", false), "#1 RUN x\n#1 DONE 1.0s\n");
    assert.match(await written("auto", true), /\[\+\] Building .*\(1\/1\) FINISHED/);
    assert.match(await written("tty", true), /=> RUN x +1\.0s/);
  });

  it("is what is asked for, terminal or not", async () => {
    assert.equal(await written("plain", true), "#1 RUN x\n#1 DONE 1.0s\n");
    assert.equal(await written("quiet", true), "");
    assert.deepEqual(JSON.parse(await written("rawjson", true)), {
      vertexes: [
        {
          ...{ digest: "v", name: "RUN x" },
          ...{ started: "1970-01-01T00:00:00Z", completed: "1970-01-01T00:00:01Z" },
        },
      ],
    });
  });

  it("needs a terminal for a picture", () => {
    const stream = { write: () => undefined };
    assert.throws(() => showProgress("tty", stream, {}), /--progress: tty needs/);
  });

  it("has the colours that the environment wants", () => {
    assert.deepEqual(paletteOf({}), defaultPalette);
    assert.equal(paletteOf({ NO_COLOR: "1" }).done, undefined);
    const { done, failed, canceled } = paletteOf({
      BUILDKIT_COLORS: "run=green:error=light-red:x=y",
    });
    assert.deepEqual(
      [done, failed, canceled],
      ["\u001b[32m", "\u001b[91m", defaultPalette.canceled],
    );
  });
});
