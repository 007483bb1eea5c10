// docs/cli.md knows every command and flag.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { agentCommand } from "../../../src/cli/agent-command.ts";
import { buildkitCommand } from "../../../src/cli/buildkit/command.ts";
import { controllerCommand } from "../../../src/cli/controller-command.ts";
import { lintCommand } from "../../../src/cli/lint-command.ts";
import { solveCommand } from "../../../src/cli/solve/command.ts";

const page = readFileSync(path.join(import.meta.dirname, "../../../docs/cli.md"), "utf8");

/** "solve", "buildkit history ls"… with what each is. */
function commands(command: Command, above = ""): (readonly [name: string, command: Command])[] {
  const name = `${above}${command.name()}`;
  return [
    [name, command],
    ...command.commands.flatMap((one) => commands(one as Command, `${name} `)),
  ];
}

describe("docs/cli.md", () => {
  const all = [
    agentCommand(),
    controllerCommand(),
    lintCommand(),
    solveCommand(),
    buildkitCommand(),
  ].flatMap((command) => commands(command));

  for (const [name, command] of all) {
    it(`says what kiln ${name} is and takes`, () => {
      const last = name.split(" ").at(-1) ?? "";
      assert.match(page, new RegExp(`kiln ${name}|[\`, ]${last}[\` ,]`));
      const flags = command.options.map(({ long }) => long ?? "");
      assert.deepEqual(
        flags.filter((flag) => !page.includes(flag)),
        [],
      );
    });
  }
});
