// Which lines of `docker buildx build` are recorded: outputs and caches.

import type { BuildRunSpecInput } from "../../../src/api/v1alpha1/index.ts";
import type { BuildxCase } from "./buildx-cases.ts";

type Image = NonNullable<NonNullable<BuildRunSpecInput["outputs"]>[number]["image"]>;

/** A manifest list of nothing: the recording has it in FOLDER/cached. */
export const emptyIndex = '{"schemaVersion":2,"manifests":[]}';
const emptyIndexDigest = "sha256:bc5857ac9458293d5111ab85c952172cd7f56bceb4e3014ddc4cafac8927b313";

const tag = "registry.example/web:1";

function image(more: Partial<Image> = {}): Partial<BuildRunSpecInput> {
  return { outputs: [{ image: { tags: [tag], ...more } }] };
}

/** One attribute of `--output type=image`, and the field that says it. */
const attributes: readonly (readonly [
  attribute: string,
  field: Partial<Image>,
  more?: Partial<BuildRunSpecInput>,
])[] = [
  ["push=false", { push: false }],
  ["registry.insecure=true", { insecure: true }],
  ["compression=uncompressed", { compression: "uncompressed" }],
  ["compression=gzip", { compression: "gzip" }],
  ["compression=estargz", { compression: "estargz" }],
  ["compression=zstd", { compression: "zstd" }],
  ["compression=zstd,compression-level=19", { compression: "zstd", compressionLevel: 19 }],
  ["compression=zstd,force-compression=true", { compression: "zstd", forceCompression: true }],
  ["oci-mediatypes=false", { ociMediaTypes: false }],
  ["oci-artifact=true", { ociArtifact: true }],
  ["attestation-inline=true", { attestationInline: true }],
  ["prefer-nondist-layers=true", { preferNondistributableLayers: true }],
  ["name-canonical=true", { nameCanonical: true }],
  ["store=false", { store: false }],
  ["unpack=true", { unpack: true }],
];

const attributeCases: readonly BuildxCase[] = attributes.map(([attribute, field]) => ({
  name: `output-image-${attribute.replaceAll(/[=,.]/g, "-")}`,
  flags: [`--output=type=image,name=${tag},push=true,${attribute}`],
  spec: image(field),
}));

const annotationFlags = [
  "--annotation=org.example.plain=1",
  "--annotation=manifest:org.example.manifest=2",
  "--annotation=index:org.example.index=3",
  "--annotation=manifest-descriptor:org.example.descriptor=4",
  "--annotation=index-descriptor:org.example.index-descriptor=5",
  "--annotation=manifest[linux/amd64]:org.example.amd64=6",
  "--annotation=manifest-descriptor[linux/arm64]:org.example.arm64=7",
];

const annotations: Image["annotations"] = [
  { name: "org.example.plain", value: "1" },
  { name: "org.example.manifest", value: "2" },
  { name: "org.example.index", value: "3", level: "index" },
  { name: "org.example.descriptor", value: "4", level: "manifest-descriptor" },
  { name: "org.example.index-descriptor", value: "5", level: "index-descriptor" },
  { name: "org.example.amd64", value: "6", platform: "linux/amd64" },
  { name: "org.example.arm64", value: "7", level: "manifest-descriptor", platform: "linux/arm64" },
];

const cacheRef = "registry.example/web:cache";

type S3 = NonNullable<NonNullable<NonNullable<BuildRunSpecInput["cache"]>["from"]>[number]["s3"]>;

const place = { artifact: { ref: "registry.example/files:1" } };

const fileCases: readonly BuildxCase[] = [
  {
    name: "output-oci",
    flags: [
      `--output=type=oci,name=${tag},dest=FOLDER/out-oci,compression=zstd,compression-level=3,force-compression=true,oci-artifact=true,annotation-manifest.org.example.a=1`,
    ],
    spec: {
      outputs: [
        {
          oci: {
            to: place,
            tags: [tag],
            compression: "zstd",
            compressionLevel: 3,
            forceCompression: true,
            ociArtifact: true,
            annotations: [{ name: "org.example.a", value: "1" }],
          },
        },
      ],
    },
  },
  {
    name: "load",
    flags: [`--tag=${tag}`, "--load"],
    env: { DOCKER_HOST: "unix://ENGINE-SOCKET" },
    spec: { outputs: [{ docker: { to: { engine: {} }, tags: [tag] } }] },
  },
  {
    name: "output-docker",
    flags: [`--output=type=docker,name=${tag},dest=FOLDER/out-docker,oci-mediatypes=false`],
    spec: { outputs: [{ docker: { to: place, tags: [tag], ociMediaTypes: false } }] },
  },
  {
    name: "output-tar",
    flags: ["--output=type=tar,dest=FOLDER/out-tar,platform-split=true,attestation-prefix=a-"],
    spec: { outputs: [{ tar: { to: place, platformSplit: true, attestationPrefix: "a-" } }] },
  },
  {
    name: "output-local",
    flags: ["--output=type=local,dest=FOLDER/out-local,platform-split=false"],
    spec: { outputs: [{ local: { to: place, platformSplit: false } }] },
  },
];

const s3: S3 = {
  bucket: "caches",
  region: "test-1",
  endpoint: "https://s3.example",
  pathStyle: true,
  prefix: "shop/",
  manifestsPrefix: "m/",
  blobsPrefix: "b/",
  names: ["main", "next"],
  retryMode: "adaptive",
  retryMaxAttempts: 5,
  disableAcceptEncoding: true,
  credentials: { secretRef: { name: "bucket" } },
};
const s3Flag =
  "type=s3,bucket=caches,region=test-1,endpoint_url=https://s3.example,use_path_style=true,prefix=shop/,manifests_prefix=m/,blobs_prefix=b/,name=main;next,retry_mode=adaptive,retry_max_attempts=5,disable_accept_encoding=true,access_key_id=id,secret_access_key=key";
const azblob = {
  accountUrl: "https://shop.blob.example",
  accountName: "shop",
  container: "caches",
  prefix: "shop/",
  manifestsPrefix: "m",
  blobsPrefix: "b",
  names: ["main"],
  credentials: { secretRef: { name: "account" } },
};
const azblobFlag =
  "type=azblob,account_url=https://shop.blob.example,account_name=shop,container=caches,prefix=shop/,manifests_prefix=m,blobs_prefix=b,name=main,secret_access_key=AZURE-KEY";
const gha = {
  urlV2: "https://results.example/",
  url: "https://cache.example/",
  version: 1,
  scope: "main",
  repository: "shop/web",
  timeout: "5m",
  credentials: { secretRef: { name: "workflow" } },
};
const ghaFlag =
  "type=gha,url_v2=https://results.example/,url=https://cache.example/,version=1,scope=main,repository=shop/web,timeout=5m,token=GHA-TOKEN,ghtoken=token";

const storeCases: readonly BuildxCase[] = [
  {
    name: "cache-from-s3",
    flags: [`--cache-from=${s3Flag}`],
    spec: { cache: { from: [{ s3 }] } },
  },
  {
    name: "cache-to-s3",
    flags: [
      `--cache-to=${s3Flag},mode=max,ignore-error=true,upload_parallelism=8,touch_refresh=48h`,
    ],
    spec: {
      cache: { to: [{ s3: { ...s3, mode: "max", uploadParallelism: 8, touchRefresh: "48h" } }] },
    },
  },
  {
    name: "cache-from-azblob",
    flags: [`--cache-from=${azblobFlag}`],
    spec: { cache: { from: [{ azblob }] } },
  },
  {
    name: "cache-to-azblob",
    flags: [`--cache-to=${azblobFlag},mode=max,ignore-error=true`],
    spec: { cache: { to: [{ azblob: { ...azblob, mode: "max" } }] } },
  },
  {
    name: "cache-from-gha",
    flags: [`--cache-from=${ghaFlag}`],
    spec: { cache: { from: [{ gha }] } },
  },
  {
    name: "cache-to-gha",
    flags: [`--cache-to=${ghaFlag},mode=max,ignore-error=true`],
    spec: { cache: { to: [{ gha: { ...gha, mode: "max" } }] } },
  },
  {
    name: "cache-from-local",
    flags: ["--cache-from=type=local,src=FOLDER/cached"],
    spec: { cache: { from: [{ local: { name: "main", digest: emptyIndexDigest } }] } },
  },
  {
    name: "cache-to-local",
    flags: [
      "--cache-to=type=local,dest=FOLDER/cache,mode=max,compression=zstd,compression-level=3,force-compression=true,image-manifest=true,oci-mediatypes=true,ignore-error=true",
    ],
    spec: {
      cache: {
        to: [
          {
            local: {
              name: "main",
              mode: "max",
              compression: "zstd",
              compressionLevel: 3,
              forceCompression: true,
              imageManifest: true,
              ociMediaTypes: true,
            },
          },
        ],
      },
    },
  },
];

const cacheCases: readonly BuildxCase[] = [
  {
    name: "cache-from",
    flags: [`--cache-from=${cacheRef}`],
    spec: { cache: { from: [{ registry: { ref: cacheRef } }] } },
  },
  {
    name: "cache-from-several",
    flags: [
      `--cache-from=type=registry,ref=${cacheRef},registry.insecure=true`,
      `--cache-from=type=registry,ref=${tag}`,
    ],
    spec: {
      cache: {
        from: [{ registry: { ref: cacheRef, insecure: true } }, { registry: { ref: tag } }],
      },
    },
  },
  {
    name: "cache-to",
    flags: [`--cache-to=type=registry,ref=${cacheRef}`],
    spec: { cache: { to: [{ registry: { ref: cacheRef } }] } },
  },
  {
    name: "cache-to-attributes",
    flags: [
      `--cache-to=type=registry,ref=${cacheRef},mode=max,registry.insecure=true,compression=zstd,force-compression=true,image-manifest=false,oci-mediatypes=true,ignore-error=true`,
    ],
    spec: {
      cache: {
        to: [
          {
            registry: {
              ref: cacheRef,
              mode: "max",
              insecure: true,
              compression: "zstd",
              forceCompression: true,
              imageManifest: false,
              ociMediaTypes: true,
              ignoreError: true,
            },
          },
        ],
      },
    },
  },
  {
    name: "cache-to-inline",
    flags: ["--cache-to=type=inline", `--output=type=image,name=${tag},push=true`],
    spec: { cache: { to: [{ inline: {} }] }, ...image() },
  },
  {
    name: "cache-to-several",
    flags: [
      "--cache-to=type=inline",
      `--cache-to=type=registry,ref=${cacheRef},ignore-error=false`,
      `--output=type=image,name=${tag},push=true`,
    ],
    spec: {
      cache: { to: [{ inline: {} }, { registry: { ref: cacheRef, ignoreError: false } }] },
      ...image(),
    },
  },
];

/** Lines about what comes out. */
export const outputCases: readonly BuildxCase[] = [
  {
    name: "output-image",
    flags: [`--output=type=image,name=${tag},push=true`],
    spec: image(),
  },
  ...attributeCases,
  {
    name: "output-image-push-by-digest",
    flags: ["--output=type=image,name=registry.example/web,push=true,push-by-digest=true"],
    spec: image({ tags: ["registry.example/web"], pushByDigest: true }),
  },
  {
    name: "output-image-rewrite-timestamp",
    flags: [
      `--output=type=image,name=${tag},push=true,rewrite-timestamp=true`,
      "--build-arg=SOURCE_DATE_EPOCH=0",
    ],
    spec: {
      ...image({ rewriteTimestamp: true }),
      buildArgs: [{ name: "SOURCE_DATE_EPOCH", value: "0" }],
    },
  },
  {
    name: "output-registry",
    flags: [`--output=type=registry,name=${tag}`],
    spec: image(),
  },
  {
    name: "outputs",
    flags: [
      `--output=type=image,name=${tag},push=true`,
      "--output=type=image,name=registry.example/other:2,push=false",
    ],
    spec: {
      outputs: [
        { image: { tags: [tag] } },
        { image: { tags: ["registry.example/other:2"], push: false } },
      ],
    },
  },
  {
    name: "push",
    flags: ["--push", `--tag=${tag}`],
    spec: image(),
  },
  {
    name: "tag",
    flags: [`--tag=${tag}`, "--tag=registry.example/web:latest", "--output=type=image"],
    spec: image({ tags: [tag, "registry.example/web:latest"], push: false }),
  },
  {
    name: "tag-without-tag",
    flags: ["--push", "--tag=registry.example/web"],
    spec: image({ tags: ["registry.example/web"] }),
  },
  {
    name: "tag-of-docker-hub",
    flags: ["--tag=shop/web", "--tag=web:1", "--output=type=image"],
    spec: image({ tags: ["shop/web", "web:1"], push: false }),
  },
  {
    name: "annotation",
    flags: ["--push", `--tag=${tag}`, "--platform=linux/amd64,linux/arm64", ...annotationFlags],
    spec: { ...image({ annotations }), platforms: ["linux/amd64", "linux/arm64"] },
  },
  ...cacheCases,
  ...storeCases,
  ...fileCases,
];
