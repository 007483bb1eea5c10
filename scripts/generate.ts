// Runs every generator: protobuf code, CRDs, roles of the chart, tables of docs/. With `--check`
// nothing is written, and the exit code is 1 if a committed file is not what they would write.

import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { files as crds } from "./crds.ts";
import { files as docs } from "./docs.ts";
import { report, settle } from "./generated.ts";
import { files as rbac } from "./rbac.ts";

const check = process.argv.includes("--check");

/** The protobuf generator calls programs of its own; it tells itself what is stale. */
async function protos(): Promise<number> {
  const argv = [resolve(import.meta.dirname, "protos.ts"), ...(check ? ["--check"] : [])];
  return await new Promise((done, reject) => {
    const child = spawn(process.execPath, argv, { stdio: "inherit" });
    child.on("error", reject);
    child.on("close", (code) => done(code ?? 1));
  });
}

if ((await protos()) !== 0) process.exitCode = 1;
report(await settle([...crds(), ...(await rbac()), ...(await docs())], { check }), check);
