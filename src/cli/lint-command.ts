// The flags of `kiln lint`, and how it prints. What it checks is in lint.ts, which is loaded when it runs.
import { readFileSync } from "node:fs";
import { Command } from "commander";

/** Exit code 1 when a file is not as it should be; every finding on a line of its own. */
export function lintCommand(): Command {
  return new Command("lint")
    .description("Check manifests of Kiln without a cluster, as far as the schemas can tell.")
    .argument("<file...>", "YAML files; - is standard input")
    .action(async (files: readonly string[]) => {
      const { lint } = await import("./lint.ts");
      for (const file of files) {
        const { checked, findings } = lint(readFileSync(file === "-" ? 0 : file, "utf8"));
        for (const { line, object, message } of findings) {
          console.log(`${file}:${line}: ${object === "" ? "" : `${object}: `}${message}`);
        }
        if (findings.length > 0) process.exitCode = 1;
        else console.log(`${file}: ${checked} objects of Kiln, nothing wrong`);
      }
    });
}
