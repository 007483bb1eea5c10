// --export-cache and --import-cache, as buildctl reads them.
import {
  localCacheExport,
  localCacheImport,
  type CacheExport,
  type CacheImport,
  type TypedAttrs,
} from "../../buildkit/index.ts";
import { goBoolean } from "../../buildrun/plan/csv.ts";
import { csvPairs } from "../csv.ts";
import { invalidFlag } from "../flag-error.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads one value; a bare reference is a registry's. Throws KilnError User/InvalidFlag. */
export function parseCache(
  flag: "--export-cache" | "--import-cache",
  value: string,
  environment: Environment,
): TypedAttrs {
  const isExport = flag === "--export-cache";
  const found = value.includes("type=")
    ? csvPairs(flag, value)
    : new Map([
        ["type", "registry"],
        ["ref", value],
      ]);
  const type = found.get("type") ?? "";
  if (type === "") throw invalidFlag(flag, `${value} needs type=…, such as type=registry.`);
  found.delete("type");
  if (isExport && !found.has("mode")) found.set("mode", "min");
  const attrs = Object.fromEntries(found);
  if (type === "registry" && (attrs["ref"] ?? "") === "")
    throw invalidFlag(flag, "type=registry needs ref=….");
  const folder = isExport ? "dest" : "src";
  if (type === "local" && (attrs[folder] ?? "") === "")
    throw invalidFlag(flag, `type=local needs ${folder}=folder.`);
  return { type, attrs: type === "gha" ? githubAttrs(flag, attrs, environment) : attrs };
}

/** Where GitHub's runners say how to reach their cache. */
function githubAttrs(
  flag: string,
  given: Readonly<Record<string, string>>,
  environment: Environment,
): Readonly<Record<string, string>> {
  const second =
    given["version"] === "2" || goBoolean(environment["ACTIONS_CACHE_SERVICE_V2"]) === true;
  const url =
    given["url"] ?? environment["ACTIONS_CACHE_URL"] ?? environment["ACTIONS_RESULTS_URL"];
  const url2 = given["url_v2"] ?? (second ? environment["ACTIONS_RESULTS_URL"] : undefined);
  const token = given["token"] ?? environment["ACTIONS_RUNTIME_TOKEN"];
  if (url === undefined && url2 === undefined)
    throw invalidFlag(flag, "type=gha needs url=…, or $ACTIONS_RESULTS_URL.");
  if (token === undefined)
    throw invalidFlag(flag, "type=gha needs token=…, or $ACTIONS_RUNTIME_TOKEN.");
  return {
    ...given,
    token,
    ...(url === undefined ? {} : { url }),
    ...(url2 === undefined ? {} : { url_v2: url2 }),
  };
}

/** Caches of a session; those of type local stand on this machine. */
export interface Caches {
  readonly imports: readonly TypedAttrs[];
  readonly exports: readonly TypedAttrs[];
  readonly localImports: readonly CacheImport[];
  readonly localExports: readonly CacheExport[];
}

function reset(attrs: Readonly<Record<string, string>>): boolean {
  const value = attrs["reset"];
  const parsed = goBoolean(value) ?? (value === undefined ? false : undefined);
  if (parsed === undefined)
    throw invalidFlag("--export-cache", `reset=${value ?? ""} is neither true nor false.`);
  return parsed;
}

async function openExport({ attrs }: TypedAttrs): Promise<CacheExport> {
  const { dest = "", tag, reset: _reset, ...rest } = attrs;
  return await localCacheExport(dest, {
    attrs: rest,
    reset: reset(attrs),
    ...(tag === undefined ? {} : { tag }),
  });
}

async function openImport({ attrs }: TypedAttrs): Promise<CacheImport | undefined> {
  const { src = "", tag, digest, ...rest } = attrs;
  const choice = {
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
  return await localCacheImport(src, choice, rest);
}

/** Makes folders where they are missing. A cache that is not there yet is told to `warn`, and passed over. */
export async function openCaches(
  asked: { readonly imports: readonly TypedAttrs[]; readonly exports: readonly TypedAttrs[] },
  warn: (sentence: string) => void,
): Promise<Caches> {
  const localExports: CacheExport[] = [];
  const exports: TypedAttrs[] = [];
  for (const entry of asked.exports) {
    const local = entry.type === "local" ? await openExport(entry) : undefined;
    if (local !== undefined) localExports.push(local);
    exports.push(local?.cacheExport ?? entry);
  }
  const localImports: CacheImport[] = [];
  const imports: TypedAttrs[] = [];
  for (const entry of asked.imports) {
    if (entry.type !== "local") {
      imports.push(entry);
      continue;
    }
    const local = await openImport(entry);
    if (local === undefined) {
      warn(`local cache import at ${entry.attrs["src"] ?? ""} skipped: nothing there`);
      continue;
    }
    localImports.push(local);
    imports.push(local.cacheImport);
  }
  return { imports, exports, localImports, localExports };
}
