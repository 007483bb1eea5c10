// BuildRuns whose caches, file outputs or kept values are refused.

import { type Refusal, run } from "./manifests.ts";

const credentials = { secretRef: { name: "bucket" } };
const bucket = { bucket: "builds", region: "eu-1", credentials };
const to = (fields: object) => run({ cache: { to: [fields] } });
const tar = (place: object) => run({ outputs: [{ tar: { to: place } }] });
const value = (fields: object) => run({ buildArgs: [{ name: "A", ...fields }] });
const from = { configMapKeyRef: { name: "settings", key: "a" } };

/** Cases of places outside of the cluster, and of values in it. */
export const places: readonly Refusal[] = [
  [
    "a cache in a bucket of no name",
    to({ s3: { ...bucket, bucket: "B" } }),
    "s3.bucket",
    /at least 3 chars|lower-case letters/,
  ],
  [
    "an address with a password",
    to({ s3: { ...bucket, endpoint: "https://me:secret@s3.example.com" } }),
    "s3.endpoint",
    /credentials belong in a Secret/,
  ],
  [
    "a prefix that leads elsewhere",
    to({ azblob: { accountUrl: "https://a.example.com", prefix: "../x" } }),
    "azblob.prefix",
    /not beginning with '\/'/,
  ],
  [
    "a cache service without an address",
    to({ gha: { credentials } }),
    "gha",
    /url or urlV2 must say where the cache service is/,
  ],
  ["a cache that is a path", to({ local: { name: "a/b" } }), "local.name", /must be a name/],
  ["a file output without a place", run({ outputs: [{ tar: {} }] }), "tar.to", /Required/],
  [
    "a file output in two places",
    tar({ artifact: { ref: "a/b" }, s3: { ...bucket, key: "a" } }),
    "tar.to",
    /exactly one of artifact, s3/,
  ],
  [
    "an object with a path upwards",
    tar({ s3: { ...bucket, key: "a/../b" } }),
    "s3.key",
    /must be letters, digits/,
  ],
  [
    "an archive with new times but no time",
    run({ outputs: [{ oci: { to: { artifact: { ref: "a/b" } }, rewriteTimestamp: true } }] }),
    "spec.outputs",
    /add SOURCE_DATE_EPOCH to buildArgs/,
  ],
  [
    "a value here and elsewhere",
    value({ value: "1", valueFrom: from }),
    "buildArgs[0].valueFrom",
    /remove one/,
  ],
  [
    "an option of the frontend that is a field",
    run({ frontend: { image: "a/b:1", optionsFrom: [{ name: "target", valueFrom: from }] } }),
    "frontend.optionsFrom[0].name",
    /use frontend\.image, dockerfile\.path, target/,
  ],
  [
    "a label from nowhere",
    run({ labelsFrom: [{ name: "a", valueFrom: {} }] }),
    "labelsFrom[0].valueFrom.configMapKeyRef",
    /Required/,
  ],
  ["a value from nowhere", value({ valueFrom: {} }), "valueFrom", /exactly one of configMapKeyRef/],
  [
    "ids of cache mounts from elsewhere",
    run({ buildArgs: [{ name: "BUILDKIT_CACHE_MOUNT_NS", valueFrom: from }] }),
    "buildArgs[0].valueFrom",
    /must be written out/,
  ],
  [
    "another run and an image as one context",
    run({ buildContexts: [{ name: "a", image: "b", buildRun: { name: "c" } }] }),
    "spec.buildContexts[0]",
    /exactly one of/,
  ],
];
