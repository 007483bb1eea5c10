// `cache-from` and `cache-to` of a target as caches of a BuildRun. Pure.
// Names of attributes: cache/remotecache/*, BuildKit v0.34.2.

import type { BakeSpec, BuildRunSpecInput } from "../../api/v1alpha1/index.ts";
import type { BakeTarget } from "../file/document.ts";
import type { Entry } from "../file/entry.ts";
import { duration, fieldsOf, integer, type Table, text, yesNo } from "./attributes.ts";
import { entryOf, type Refuse } from "./values.ts";

type Cache = NonNullable<BuildRunSpecInput["cache"]>;

/** What caches are made of. */
export interface CacheSources {
  readonly bake: Pick<BakeSpec, "cacheCredentials">;
  readonly refuse: Refuse;
}

const exported: Table = { mode: ["mode", text], "ignore-error": ["ignoreError", yesNo] };

const packed: Table = {
  compression: ["compression", text],
  "compression-level": ["compressionLevel", integer],
  "force-compression": ["forceCompression", yesNo],
  "image-manifest": ["imageManifest", yesNo],
  "oci-mediatypes": ["ociMediaTypes", yesNo],
};

const prefixes: Table = {
  prefix: ["prefix", text],
  manifests_prefix: ["manifestsPrefix", text],
  blobs_prefix: ["blobsPrefix", text],
  name: ["names", (value) => value.split(";")],
};

const s3: Table = {
  ...prefixes,
  bucket: ["bucket", text],
  region: ["region", text],
  endpoint_url: ["endpoint", text],
  use_path_style: ["pathStyle", yesNo],
  retry_mode: ["retryMode", text],
  retry_max_attempts: ["retryMaxAttempts", integer],
  disable_accept_encoding: ["disableAcceptEncoding", yesNo],
};

const azblob: Table = {
  ...prefixes,
  account_url: ["accountUrl", text],
  account_name: ["accountName", text],
  container: ["container", text],
};

const gha: Table = {
  url: ["url", text],
  url_v2: ["urlV2", text],
  version: ["version", integer],
  scope: ["scope", text],
  repository: ["repository", text],
  timeout: ["timeout", duration],
};

const registry: Table = { ref: ["ref", text], "registry.insecure": ["insecure", yesNo] };

const imports: Readonly<Record<string, Table>> = { registry, s3, azblob, gha };

const exports: Readonly<Record<string, Table>> = {
  registry: { ...registry, ...exported, ...packed },
  inline: {},
  s3: {
    ...{ ...s3, ...exported },
    upload_parallelism: ["uploadParallelism", integer],
    touch_refresh: ["touchRefresh", duration],
  },
  azblob: { ...azblob, ...exported },
  gha: { ...gha, ...exported },
};

const logins = ["access_key_id", "secret_access_key", "session_token", "token", "ghtoken"];

/** The caches of a target. */
export function cachesOf({ cacheFrom, cacheTo }: BakeTarget, from: CacheSources): Cache {
  return {
    from: cacheFrom.map((entry, index) => cacheOf(entry, `cache-from[${index}]`, imports, from)),
    to: cacheTo.map((entry, index) => cacheOf(entry, `cache-to[${index}]`, exports, from)),
  } as Cache;
}

function cacheOf(
  entry: Entry,
  field: string,
  tables: Readonly<Record<string, Table>>,
  { bake, refuse }: CacheSources,
): Record<string, unknown> {
  const { type = "" } = entry;
  if (type === "local")
    throw refuse(
      `${field}.type`,
      "is local, a folder of a workstation: use a registry or a bucket, by an override of it in spec.set.",
    );
  const table = entryOf(tables, type);
  if (table === undefined)
    throw refuse(`${field}.type`, `is "${type}", which a BuildRun does not have.`);
  const secret = logins.find((name) => entry[name] !== undefined);
  if (secret !== undefined)
    throw refuse(
      `${field}.${secret}`,
      "must not be written into a file: name a Secret in spec.cacheCredentials of the Bake.",
    );
  const login = bake.cacheCredentials.find((one) => one.type === type);
  const credentials = login === undefined ? {} : { credentials: { secretRef: login.secretRef } };
  if (type === "gha" && login === undefined)
    throw refuse(field, "needs a token: name a Secret in spec.cacheCredentials of the Bake.");
  // buildx fails with a cache that can not be written, unless it is told not to; a BuildRun goes on.
  const strict = tables === exports && type !== "inline" ? { ignoreError: false } : {};
  return { [type]: { ...strict, ...fieldsOf(entry, table, { field, refuse }), ...credentials } };
}
