#!/usr/bin/env node
// The `kiln` command. Node keeps the compiled code of what is loaded after it is told to: all the rest.
import { enableCompileCache } from "node:module";

enableCompileCache();
const { runCommand } = await import("./commands.ts");
await runCommand();
