// Cache lists of a spec as entries of a solve, and the Secrets that they log in with. Pure.
// Names of attributes: cache/remotecache/*, BuildKit v0.34.2.

import type { BuildRunSpec, CacheExport, CacheImport } from "../../api/v1alpha1/index.ts";
import { only } from "../../api/schema.ts";
import { type Attrs, onlyTrue, written } from "./attrs.ts";
import { bucketLogin, type HiddenNeed } from "./needs.ts";
import type { Entry } from "./outputs.ts";

type S3 = NonNullable<CacheImport["s3"]>;
type Azblob = NonNullable<CacheImport["azblob"]>;
type Gha = NonNullable<CacheImport["gha"]>;
type Packed = Pick<
  NonNullable<CacheExport["registry"]>,
  "compression" | "compressionLevel" | "forceCompression" | "imageManifest" | "ociMediaTypes"
>;
type Exported = Pick<NonNullable<CacheExport["s3"]>, "mode" | "ignoreError">;
type Prefixes = Pick<S3, "prefix" | "manifestsPrefix" | "blobsPrefix" | "names">;

/** The cache lists of a request. */
export interface CachePlan {
  readonly imports: Entry[];
  readonly exports: Entry[];
  readonly hidden: readonly HiddenNeed[];
}

function exported({ mode, ignoreError }: Exported): Attrs {
  return { mode, ...written({ "ignore-error": onlyTrue(ignoreError) }) };
}

function packed(how: Packed): Attrs {
  return written({
    compression: how.compression,
    "compression-level": how.compressionLevel,
    "force-compression": how.forceCompression,
    "image-manifest": how.imageManifest,
    "oci-mediatypes": how.ociMediaTypes,
  });
}

function prefixes({ prefix, manifestsPrefix, blobsPrefix, names }: Prefixes): Attrs {
  return written({
    prefix,
    manifests_prefix: manifestsPrefix,
    blobs_prefix: blobsPrefix,
    name: names.length === 0 ? undefined : names.join(";"),
  });
}

function s3Attrs(s3: S3): Attrs {
  return {
    bucket: s3.bucket,
    region: s3.region,
    ...prefixes(s3),
    ...written({
      endpoint_url: s3.endpoint,
      use_path_style: s3.pathStyle,
      retry_mode: s3.retryMode,
      retry_max_attempts: s3.retryMaxAttempts,
      disable_accept_encoding: s3.disableAcceptEncoding,
    }),
  };
}

function azblobAttrs(azblob: Azblob): Attrs {
  return {
    account_url: azblob.accountUrl,
    ...prefixes(azblob),
    ...written({ account_name: azblob.accountName, container: azblob.container }),
  };
}

function ghaAttrs({ url, urlV2, version, scope, repository, timeout }: Gha): Attrs {
  return written({ url, url_v2: urlV2, version, scope, repository, timeout });
}

function importOf(cache: CacheImport, namespace: string): Entry {
  const { kind, value } = only(cache);
  switch (kind) {
    case "registry": {
      const { ref, insecure } = value;
      return {
        type: kind,
        attrs: { ref, ...written({ "registry.insecure": onlyTrue(insecure) }) },
      };
    }
    case "s3":
      return { type: kind, attrs: s3Attrs(value) };
    case "azblob":
      return { type: kind, attrs: azblobAttrs(value) };
    case "gha":
      return { type: kind, attrs: ghaAttrs(value) };
    case "local": {
      const { name, tag, digest } = value;
      return { type: kind, attrs: { src: `${namespace}/${name}`, ...written({ tag, digest }) } };
    }
  }
}

function exportOf(cache: CacheExport, namespace: string): Entry {
  const { kind, value } = only(cache);
  switch (kind) {
    case "inline":
      return { type: kind, attrs: {} };
    case "registry": {
      const attrs = { ref: value.ref, ...exported(value), ...packed(value) };
      const insecure = written({ "registry.insecure": onlyTrue(value.insecure) });
      return { type: kind, attrs: { ...attrs, ...insecure } };
    }
    case "s3": {
      const { uploadParallelism, touchRefresh } = value;
      const more = { upload_parallelism: uploadParallelism, touch_refresh: touchRefresh };
      return { type: kind, attrs: { ...s3Attrs(value), ...exported(value), ...written(more) } };
    }
    case "azblob":
      return { type: kind, attrs: { ...azblobAttrs(value), ...exported(value) } };
    case "gha":
      return { type: kind, attrs: { ...ghaAttrs(value), ...exported(value) } };
    case "local": {
      const { name, tag, reset } = value;
      const place = { dest: `${namespace}/${name}`, ...written({ tag, reset: onlyTrue(reset) }) };
      return { type: kind, attrs: { ...place, ...exported(value), ...packed(value) } };
    }
  }
}

type Login = Pick<HiddenNeed, "name" | "attrs">;

/** Attribute → key of the Secret; those with a `?` may be missing. */
function loginOf({ s3, azblob, gha }: CacheImport | CacheExport): Login | undefined {
  if (s3?.credentials !== undefined) return bucketLogin(s3.credentials);
  if (azblob?.credentials !== undefined)
    return {
      name: azblob.credentials.secretRef.name,
      attrs: [{ attr: "secret_access_key", key: "AZURE_STORAGE_KEY" }],
    };
  if (gha === undefined) return undefined;
  return {
    name: gha.credentials.secretRef.name,
    attrs: [
      { attr: "token", key: "ACTIONS_RUNTIME_TOKEN" },
      { attr: "ghtoken", key: "GITHUB_TOKEN", optional: true },
    ],
  };
}

/** What the run reads caches from and writes them to. `namespace` is the run's. */
export function cachePlan({ cache }: BuildRunSpec, namespace: string): CachePlan {
  const logins = (list: HiddenNeed["list"], entries: readonly (CacheImport | CacheExport)[]) =>
    entries.flatMap((entry, index) => {
      const login = loginOf(entry);
      return login === undefined ? [] : [{ list, index, ...login }];
    });
  return {
    imports: cache.from.map((entry) => importOf(entry, namespace)),
    exports: cache.to.map((entry) => exportOf(entry, namespace)),
    hidden: [...logins("imports", cache.from), ...logins("exports", cache.to)],
  };
}

/**
 * Keeps caches of `RUN --mount=type=cache` apart by namespace and service account: who builds other people's branches
 * under an account of its own reads and spoils no cache of the releases. What the run itself writes there comes after.
 */
export function cacheMountNamespace(
  { serviceAccountName, buildArgs, frontend }: BuildRunSpec,
  namespace: string,
): Attrs {
  // Other frontends than those for Dockerfiles may refuse build args that they do not know.
  if (frontend !== undefined && !dockerfileImage.test(frontend.image)) return {};
  const own = buildArgs.find(({ name }) => name === cacheMountArg)?.value;
  const parts = [namespace, serviceAccountName, ...(own === undefined ? [] : [own])];
  return { [`build-arg:${cacheMountArg}`]: parts.join("/") };
}

const dockerfileImage = /(^|\/)dockerfile(-upstream)?([:@]|$)/;

/** The build arg by which the Dockerfile frontend puts a name before the ids of cache mounts. */
export const cacheMountArg = "BUILDKIT_CACHE_MOUNT_NS";
