// What tests of secrets share: which fields of a kind name a Secret, the forms in which a value may be written, and what all
// processes of this machine show of themselves.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { customResourceDefinitions } from "../../src/api/crd.ts";

const run = promisify(execFile);

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

const names = /^(?:secret|secretRef|secretKeyRef|secretName|imagePullSecrets)$/;

function fieldsIn(schema: Schema, at: string): string[] {
  const deeper = Object.entries(schema.properties ?? {}).flatMap(([name, of]) => {
    const path_ = at === "" ? name : `${at}.${name}`;
    return names.test(name) ? [path_] : fieldsIn(of, path_);
  });
  return [...deeper, ...(schema.items === undefined ? [] : fieldsIn(schema.items, `${at}[]`))];
}

/** Paths of the fields of a kind's spec that name a Secret, as its CRD has them: `ssh[].secretRef`. */
export function secretFields(kind: "BuildRun" | "Builder"): string[] {
  const definitions = customResourceDefinitions() as unknown as readonly {
    readonly spec: {
      readonly names: { readonly kind: string };
      readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[];
    };
  }[];
  const found = definitions.find(({ spec }) => spec.names.kind === kind);
  const schema = found?.spec.versions[0]?.schema.openAPIV3Schema.properties?.["spec"];
  assert.ok(schema !== undefined);
  return fieldsIn(schema, "").toSorted();
}

/** A value with what URLs and JSON escape. */
export function canaryOf(field: string): string {
  return `c4n4ry/"${field}"+&=%-7f3e91`;
}

/** Ways to write a value. */
export function formsOf(canary: string): string[] {
  const base64 = Buffer.from(canary).toString("base64");
  return [
    canary,
    base64,
    base64.replace(/=+$/, ""),
    Buffer.from(canary).toString("base64url"),
    encodeURIComponent(canary),
    JSON.stringify(canary).slice(1, -1),
    JSON.stringify(JSON.stringify(canary)).slice(3, -3),
    // As Go writes JSON.
    JSON.stringify(canary).slice(1, -1).replaceAll("&", "\\u0026"),
    JSON.stringify(JSON.stringify(canary).replaceAll("&", "\\u0026")).slice(3, -3),
  ];
}

/** What of a private key can be told from another one: its lines between the first and the last. */
export function keyLines(key: string): string[] {
  return key.trim().split("\n").slice(1, -1);
}

/** Arguments and environments of every process that there is, by "cmdline of <pid> <name>" and "environ of …". */
export async function processes(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name)))
    for (const file of ["cmdline", "environ"]) {
      const text = await readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
      // Its name comes second: a process that became another one meanwhile is known by what it became.
      const name = text === "" ? "" : await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
      if (text !== "") found.set(`${file} of ${pid} ${name.trim()}`, text);
    }
  return found;
}

/** The processes' traces while something goes on. */
export async function watched(work: Promise<unknown>): Promise<Map<string, string>> {
  const seen = new Map<string, string>();
  let over = false;
  const done = work.finally(() => (over = true));
  do {
    for (const [where, text] of await processes()) seen.set(where, text);
    await new Promise((resolve) => setTimeout(resolve, 50));
  } while (!over);
  await done;
  return seen;
}

/** Fails when a canary is in a trace in any form, but for what `allows`. */
export function assertNowhere(
  seen: ReadonlyMap<string, string>,
  canaries: Iterable<readonly [field: string, value: string]>,
  allows: (where: string, field: string) => boolean = () => false,
): void {
  for (const [field, canary] of canaries)
    for (const [where, text] of seen)
      if (!allows(where, field))
        for (const form of formsOf(canary))
          assert.ok(!text.includes(form), `${field}: ${form} is in the ${where}`);
}

/** A new private SSH key. */
export async function sshKey(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "kiln-canary-"));
  try {
    const file = path.join(folder, "id");
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "c4n4ry", "-f", file]);
    return await readFile(file, "utf8");
  } finally {
    await rm(folder, { recursive: true });
  }
}
