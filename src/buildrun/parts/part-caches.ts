// What the caches of a run are called for one of its parts: two that write under one name would overwrite each other.
// Layers are shared where a cache keeps them by digest. Pure.

import { only } from "../../api/schema.ts";
import type { BuildRunSpec, CacheExport, CacheImport } from "../../api/v1alpha1/index.ts";
import { defaultTag, named, namedTag, suffixOf } from "./part-names.ts";

type Cache = BuildRunSpec["cache"];

/** As many as the API takes. */
const maxImports = 16;
/** Names that BuildKit gives where a spec gives none (cache/remotecache, v0.34.2). */
const defaultName = "buildkit";

/** The part's own cache in place of this one; undefined: there is none of its own. */
function own<C extends CacheImport | CacheExport>(cache: C, suffix: string): C | undefined {
  const { kind, value } = only<CacheImport & CacheExport>(cache as never);
  const as = (change: object): C => ({ [kind]: { ...value, ...change } }) as unknown as C;
  switch (kind) {
    case "registry":
      return as({ ref: namedTag(value.ref, suffix) });
    case "s3":
    case "azblob": {
      const names = value.names.length === 0 ? [defaultName] : value.names;
      return as({ names: names.map((name: string) => named(name, suffix)) });
    }
    case "gha":
      return as({ scope: named(value.scope ?? defaultName, suffix) });
    case "local": {
      const digest = "digest" in value ? value.digest : undefined;
      return digest === undefined ? as({ tag: named(value.tag ?? defaultTag, suffix) }) : undefined;
    }
    case "inline":
      return undefined;
  }
}

/** The caches of a part for these platforms: written under names of its own; read there first, then as the spec says. */
export function partCache(cache: Cache, platforms: readonly string[]): Cache {
  const suffix = suffixOf(platforms);
  const to = cache.to.map((one) => own(one, suffix) ?? one);
  const first = cache.from.flatMap((one) => own(one, suffix) ?? []);
  return { ...cache, to, from: [...first, ...cache.from].slice(0, maxImports) };
}
