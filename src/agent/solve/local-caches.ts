// Caches of type=local: the agent is the client whose directories they mean. A run names a cache by namespace and name,
// and never a path; an agent without a folder for caches refuses them.

import path from "node:path";
import {
  localCacheExport,
  localCacheImport,
  type SolveRequest,
  type SolveResult,
  type StoreUse,
  type TypedAttrs,
} from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";

/** A request whose local caches are directories, and what serves them. */
export interface LocalCaches {
  readonly request: SolveRequest;
  /** Stores to lend. */
  readonly uses: readonly StoreUse[];
  /** Names what was exported. Call it after a solve that ended well. */
  afterSolve(result: SolveResult): Promise<void>;
}

interface Part {
  readonly entry?: TypedAttrs;
  readonly use?: StoreUse;
  readonly afterSolve?: (result: SolveResult) => Promise<void>;
}

const part = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;

function directoryOf(folder: string | undefined, name: string): string {
  if (folder === undefined)
    throw new KilnError({
      class: "User",
      reason: "LocalCacheUnavailable",
      message:
        "This builder keeps no local caches: set spec.kubernetes.localCaches of the Builder, or use another kind of cache in a new run.",
    });
  const parts = name.split("/");
  if (parts.length !== 2 || !parts.every((one) => part.test(one)))
    throw new KilnError({
      class: "User",
      reason: "LocalCacheInvalid",
      message: "A local cache is named by letters, digits, '_', '.' and '-'.",
    });
  return path.join(folder, ...parts);
}

async function importPart({ attrs }: TypedAttrs, folder: string | undefined): Promise<Part> {
  const { src = "", tag, digest, ...rest } = attrs;
  const choice = { ...(tag === undefined ? {} : { tag }), ...(digest && { digest }) };
  const found = await localCacheImport(directoryOf(folder, src), choice, rest);
  // Nothing was written there yet: the build goes on without, as with any other cache.
  return found === undefined ? {} : { entry: found.cacheImport, use: found.use };
}

async function exportPart({ attrs }: TypedAttrs, folder: string | undefined): Promise<Part> {
  const { dest = "", tag, reset, ...rest } = attrs;
  const options = { ...(tag === undefined ? {} : { tag }), reset: reset === "true", attrs: rest };
  const made = await localCacheExport(directoryOf(folder, dest), options);
  return {
    entry: made.cacheExport,
    use: made.use,
    afterSolve: (result) => made.afterSolve(result),
  };
}

async function parts(
  entries: readonly TypedAttrs[],
  open: (entry: TypedAttrs) => Promise<Part>,
): Promise<Part[]> {
  return await Promise.all(
    entries.map(async (entry) => (entry.type === "local" ? await open(entry) : { entry })),
  );
}

function entriesOf(list: readonly Part[]): TypedAttrs[] {
  return list.flatMap(({ entry }) => (entry === undefined ? [] : [entry]));
}

/** Whether a request names a local cache. */
export function hasLocalCaches({ cacheImports, cacheExports }: SolveRequest): boolean {
  return [...cacheImports, ...cacheExports].some(({ type }) => type === "local");
}

/**
 * Opens the local caches of a request in `folder`. Throws `KilnError` User `LocalCacheUnavailable`,
 * `LocalCacheInvalid`, `OciLayoutInvalid`.
 */
export async function localCaches(
  request: SolveRequest,
  folder: string | undefined,
): Promise<LocalCaches> {
  const [imports, exports] = await Promise.all([
    parts(request.cacheImports, (entry) => importPart(entry, folder)),
    parts(request.cacheExports, (entry) => exportPart(entry, folder)),
  ]);
  const all = [...imports, ...exports];
  const uses = all.flatMap(({ use }) => (use === undefined ? [] : [use]));
  return {
    request: { ...request, cacheImports: entriesOf(imports), cacheExports: entriesOf(exports) },
    uses,
    async afterSolve(result) {
      for (const { afterSolve } of all) await afterSolve?.(result);
    },
  };
}
