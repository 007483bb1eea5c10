// Flags of `kiln solve` → the request, what the session offers, and what is left to do after it.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import os from "node:os";
import {
  authProvider,
  contentProvider,
  diskTree,
  exportReceiver,
  filesync,
  layoutStore,
  secretsProvider,
  sshProvider,
  type Attachable,
  type SolveRequest,
  type SolveResult,
  type SourcePolicy,
  type StoreUse,
} from "../../buildkit/index.ts";
import { invalidFlag } from "../flag-error.ts";
import { openCaches, parseCache, type Caches } from "./caches.ts";
import type { SolveFlags } from "./command.ts";
import { dockerLogins, parseSecret, parseSsh, secretLookup } from "./credentials.ts";
import { withoutCache } from "./llb.ts";
import { parseAllow, parseFolders, parseOptions } from "./options.ts";
import { openOutputs, parseOutput, type Outputs } from "./outputs.ts";
import { parseSourcePolicy } from "./source-policy.ts";

/** What the process has besides its flags. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdoutIsTerminal: boolean;
  /** Standard input, whole; undefined when it is a terminal. */
  readStdin(): Promise<Uint8Array | undefined>;
  warn(sentence: string): void;
}

/** One build, ready to run. */
export interface SolvePlan {
  readonly request: SolveRequest;
  readonly attachables: readonly Attachable[];
  /** Stable for the same folders of this machine: the daemon then asks only for what changed. */
  readonly sharedKey?: string;
  /** Names what was written into layouts and local caches. */
  afterSolve(result: SolveResult): Promise<void>;
}

function newRef(): string {
  return BigInt(`0x${randomBytes(17).toString("hex")}`)
    .toString(36)
    .padStart(25, "0")
    .slice(-25);
}

function sharedKeyOf(locals: ReadonlyMap<string, string>): string | undefined {
  if (locals.size === 0) return undefined;
  const folders = [...locals].sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([os.hostname(), folders]))
    .digest("hex");
}

async function definitionOf(
  flags: SolveFlags,
  surroundings: Surroundings,
): Promise<Uint8Array | undefined> {
  if (flags.frontend !== "") return undefined;
  const definition = await surroundings.readStdin();
  if (definition === undefined || definition.length === 0)
    throw invalidFlag("--frontend", "name a frontend, or pipe LLB into standard input.");
  return flags.cache ? definition : withoutCache(definition);
}

function policyOf(file: string | undefined): { readonly sourcePolicy?: SourcePolicy } {
  if (file === undefined) return {};
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw invalidFlag("--source-policy-file", `${file} cannot be read.`, cause);
  }
  return { sourcePolicy: parseSourcePolicy(text) };
}

function storesOf(flags: SolveFlags, outputs: Outputs, caches: Caches): StoreUse[] {
  const layouts = [...parseFolders("--oci-layout", flags.ociLayout)].map(
    ([name, folder]): StoreUse => ({
      id: `oci:${name}`,
      store: layoutStore(folder, { writable: false }),
    }),
  );
  const others = [...outputs.layouts, ...caches.localImports, ...caches.localExports];
  return [...layouts, ...others.map(({ use }) => use)];
}

function attachablesOf(
  flags: SolveFlags,
  given: {
    readonly locals: ReadonlyMap<string, string>;
    readonly outputs: Outputs;
    readonly caches: Caches;
    readonly surroundings: Surroundings;
  },
): Attachable[] {
  const { locals, outputs, caches } = given;
  const { environment } = given.surroundings;
  const secrets = new Map(flags.secret.map((value) => parseSecret(value, environment)));
  const ssh = Object.fromEntries(flags.ssh.map((value) => parseSsh(value, environment)));
  const stores = storesOf(flags, outputs, caches);
  const trees = [...locals].map(([name, folder]) => [name, diskTree(folder)] as const);
  return [
    authProvider(dockerLogins(environment)),
    ...(trees.length === 0 ? [] : [filesync(Object.fromEntries(trees))]),
    ...(secrets.size === 0 ? [] : [secretsProvider(secretLookup(secrets, environment))]),
    ...(flags.ssh.length === 0 ? [] : [sshProvider(ssh)]),
    ...(stores.length === 0 ? [] : [contentProvider(...stores)]),
    ...(Object.keys(outputs.targets).length === 0 ? [] : [exportReceiver(outputs.targets)]),
  ];
}

/** Reads everything that the flags name; makes the folders of outputs. Throws KilnError User/InvalidFlag. */
export async function planSolve(flags: SolveFlags, surroundings: Surroundings): Promise<SolvePlan> {
  const { environment, stdoutIsTerminal } = surroundings;
  const plans = flags.output.map((value) => parseOutput(value, stdoutIsTerminal));
  const read = (flag: "--export-cache" | "--import-cache") => (value: string) =>
    parseCache(flag, value, environment);
  const cacheExports = flags.exportCache.map(read("--export-cache"));
  const cacheImports = flags.importCache.map(read("--import-cache"));
  const attrs = parseOptions(flags.opt, environment);
  const locals = parseFolders("--local", flags.local);
  const entitlements = parseAllow(flags.allow);
  const policy = policyOf(flags.sourcePolicyFile);
  const definition = await definitionOf(flags, surroundings);
  const outputs = await openOutputs(plans);
  const caches = await openCaches({ imports: cacheImports, exports: cacheExports }, (sentence) =>
    surroundings.warn(sentence),
  );
  const isUncached = !flags.cache && definition === undefined;
  const sharedKey = sharedKeyOf(locals);
  return {
    request: {
      ref: newRef(),
      frontend: flags.frontend,
      frontendAttrs: isUncached ? { ...attrs, "no-cache": "" } : attrs,
      ...(definition === undefined ? {} : { definition }),
      exporters: outputs.exporters,
      cacheImports: caches.imports,
      cacheExports: caches.exports,
      ...policy,
      ...(entitlements.length === 0 ? {} : { entitlements }),
      ...(flags.proxyNetwork === true ? { proxyNetwork: true } : {}),
    },
    attachables: attachablesOf(flags, { locals, outputs, caches, surroundings }),
    ...(sharedKey === undefined ? {} : { sharedKey }),
    async afterSolve(result) {
      for (const written of [...outputs.layouts, ...caches.localExports])
        await written.afterSolve(result);
    },
  };
}
