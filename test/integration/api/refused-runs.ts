// BuildRuns that are refused for anything but their context.

import { type Refusal, run } from "./manifests.ts";

const image = (fields: Record<string, unknown>, more: Record<string, unknown> = {}) =>
  run({ outputs: [{ image: { tags: ["registry.example.com/a/b:1"], ...fields } }], ...more });
const tag = (value: string) => image({ tags: [value] });
const arg = (name: string, value = "1") => run({ buildArgs: [{ name, value }] });
const secret = (id: string, key = "token") => ({ id, secretKeyRef: { name: "npm", key } });
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

const relative = /must be a relative path inside the context, without '\.\.'/;
const reference = /must be written \[host\[:port\]\/\]repository\[:tag\]/;
const time = /must be between 1s and 168h, written like 90s, 15m or 1h30m/;

/** Cases of what is built, and how. */
export const build: readonly Refusal[] = [
  [
    "a Dockerfile both inline and in a file",
    run({ dockerfile: { path: "Dockerfile", inline: "FROM a" } }),
    "spec.dockerfile",
    /exactly one of path, inline, configMap, buildContext: keep one and remove the others/,
  ],
  [
    "an empty dockerfile",
    run({ dockerfile: {} }),
    "spec.dockerfile",
    /exactly one of path, inline, configMap/,
  ],
  [
    "a Dockerfile above the root",
    run({ dockerfile: { path: "../D" } }),
    "dockerfile.path",
    relative,
  ],
  ["an absolute Dockerfile", run({ dockerfile: { path: "/D" } }), "dockerfile.path", relative],
  [
    "an inline Dockerfile of 129 KiB",
    run({ dockerfile: { inline: "#".repeat(129 * 1024) } }),
    "spec.dockerfile.inline",
    /may not be more than 131072/,
  ],
  ["a target with a space", run({ target: "a b" }), "spec.target", /name or number of a stage/],
  ["a build arg of no name", arg(""), "spec.buildArgs[0].name", /at least 1 chars long/],
  ["a build arg with a space", arg("A B"), "spec.buildArgs[0].name", /must be the name of an ARG/],
  ["another frontend", arg("BUILDKIT_SYNTAX", "evil/frontend"), "buildArgs[0].name", /'# syntax='/],
  ["a build arg of 17 KiB", arg("A", "x".repeat(17_000)), "buildArgs[0].value", /more than 16384/],
  [
    "a build arg twice",
    run({ buildArgs: [{ name: "A" }, { name: "A" }] }),
    "spec.buildArgs[1]",
    /Duplicate value/,
  ],
  [
    "257 build args",
    run({ buildArgs: times(257, (n) => ({ name: `A${n}` })) }),
    "spec.buildArgs",
    /must have at most 256 items/,
  ],
  ["a label without a name", run({ labels: { "": "a" } }), "spec.labels", /1 to 256 characters/],
  [
    "a label with a long name",
    run({ labels: { ["a".repeat(300)]: "a" } }),
    "spec.labels",
    /1 to 256 characters: shorten/,
  ],
  [
    "a platform without a system",
    run({ platforms: ["amd64"] }),
    "spec.platforms[0]",
    /must be written os\/architecture/,
  ],
  [
    "a platform in capitals",
    run({ platforms: ["Linux/AMD64"] }),
    "spec.platforms[0]",
    /for example linux\/amd64/,
  ],
  [
    "a platform twice",
    run({ platforms: ["linux/amd64", "linux/amd64"] }),
    "spec.platforms[1]",
    /Duplicate value/,
  ],
  [
    "a secret twice",
    run({ secrets: [secret("a"), secret("a")] }),
    "spec.secrets[1]",
    /Duplicate value/,
  ],
  [
    "a secret id with a comma",
    run({ secrets: [secret("a,src=/etc/passwd")] }),
    "spec.secrets[0].id",
    /must be the id of RUN --mount=type=secret/,
  ],
  [
    "a secret key with a slash",
    run({ secrets: [secret("a", "../key")] }),
    "spec.secrets[0].secretKeyRef.key",
    /must be a key of the Secret/,
  ],
  [
    "a secret from nowhere",
    run({ secrets: [{ id: "a" }] }),
    "spec.secrets[0].secretKeyRef",
    /Required value/,
  ],
  ["a text for a truth", run({ noCache: "yes" }), "spec.noCache", /must be of type boolean/],
];

const named = (context: Record<string, unknown>) => run({ buildContexts: [context] });
const rule = (fields: Record<string, unknown>) =>
  run({ sourcePolicy: { rules: [{ identifier: "a", ...fields }] } });

/** Cases of what holds for steps, of named contexts and of what is attested. */
export const options: readonly Refusal[] = [
  [
    "a context of no kind",
    named({ name: "a" }),
    "spec.buildContexts[0]",
    /exactly one of git, http/,
  ],
  [
    "a context of two kinds",
    named({ name: "a", image: "b", configMap: { name: "c" } }),
    "spec.buildContexts[0]",
    /keep one and remove the others/,
  ],
  [
    "a context whose name holds a platform",
    named({ name: "a::linux/amd64", image: "b" }),
    "spec.buildContexts[0].name",
    /must be a name, or the image reference/,
  ],
  [
    "a context whose file is above the root",
    named({ name: "a", inline: { files: [{ path: "../b", text: "" }] } }),
    "files[0].path",
    relative,
  ],
  [
    "a git checksum that is no commit",
    run({ context: { git: { url: "https://h/a.git", checksum: "main" } } }),
    "context.git.checksum",
    /must be a commit/,
  ],
  ["an unknown network", run({ network: "bridge" }), "spec.network", /"default", "none", "host"/],
  [
    "a host without an address",
    run({ hostAliases: [{ ip: "db.example", hostnames: ["db"] }] }),
    "spec.hostAliases[0].ip",
    /must be an IPv4 or IPv6 address/,
  ],
  [
    "a host name with a comma",
    run({ hostAliases: [{ ip: "10.0.0.1", hostnames: ["a,b=1.2.3.4"] }] }),
    "hostnames[0]",
    /must be a host name/,
  ],
  [
    "an unknown limit",
    run({ ulimits: [{ name: "files", soft: 1 }] }),
    "spec.ulimits[0].name",
    /nofile/,
  ],
  [
    "a hard limit below the soft one",
    run({ ulimits: [{ name: "nofile", soft: 2, hard: 1 }] }),
    "spec.ulimits[0].hard",
    /raise hard or lower soft/,
  ],
  ["a shared memory in words", run({ shmSize: "much" }), "spec.shmSize", /must be a quantity/],
  [
    "a control group above its root",
    run({ cgroupParent: "/a/../b" }),
    "cgroupParent",
    /without '\.\.'/,
  ],
  [
    "swap without memory",
    run({ stepResources: { memorySwap: "1Gi" } }),
    "stepResources.memorySwap",
    /set memory as well/,
  ],
  [
    "swap with a limit and without",
    run({ stepResources: { memory: "1Gi", memorySwap: "1Gi", unlimitedSwap: true } }),
    "stepResources.memorySwap",
    /remove one/,
  ],
  ["an unknown right", run({ entitlements: ["root"] }), "spec.entitlements[0]", /network\.host/],
  [
    "no cache at all and in some stages",
    run({ noCache: true, noCacheFilter: ["a"] }),
    "spec.noCacheFilter",
    /remove one/,
  ],
  [
    "an option that a field stands for",
    run({ frontend: { image: "a", options: { target: "b" } } }),
    "spec.frontend.options",
    /a field of the BuildRun says this already/,
  ],
  [
    "a replacement for what is denied",
    rule({ action: "deny", replacement: "b" }),
    "replacement",
    /action convert/,
  ],
  ["a conversion into nothing", rule({ action: "convert" }), "rules[0]", /replacement belongs to/],
  [
    "an attestation in a file with a path",
    run({ attestations: { provenance: { filename: "../a" } } }),
    "provenance.filename",
    /must be a file name/,
  ],
];

/** Cases of what comes out, and of caches. */
export const output: readonly Refusal[] = [
  [
    "a push to nowhere",
    run({ outputs: [{ image: {} }] }),
    "spec.outputs[0].image.tags",
    /add a tag or set push: false/,
  ],
  [
    "an output of no kind",
    run({ outputs: [{}] }),
    "spec.outputs[0]",
    /must set exactly one of image, oci, docker, tar, local/,
  ],
  ["a tag that is a url", tag("https://registry.example.com/a"), "image.tags[0]", reference],
  ["a tag in capitals", tag("registry.example.com/Shop/Web:1"), "image.tags[0]", reference],
  ["a tag with a digest", tag(`a/b@sha256:${"0".repeat(64)}`), "image.tags[0]", /without a digest/],
  ["a tag with a space", tag("a/b: 1"), "image.tags[0]", reference],
  ["two tags in one", tag("a/b:1,a/b:2"), "image.tags[0]", reference],
  ["a tag twice", image({ tags: ["a/b", "a/b"] }), "image.tags[1]", /Duplicate value/],
  [
    "nine outputs",
    run({ outputs: times(9, (n) => ({ image: { tags: [`a/b:${n}`] } })) }),
    "spec.outputs",
    /must have at most 8 items/,
  ],
  [
    "an unknown compression",
    image({ compression: "brotli" }),
    "image.compression",
    /supported values: "uncompressed", "gzip", "estargz", "zstd"/,
  ],
  [
    "zstd in Docker's media types",
    image({ compression: "zstd", ociMediaTypes: false }),
    "image.ociMediaTypes",
    /remove ociMediaTypes/,
  ],
  [
    "forced compression of no kind",
    image({ forceCompression: true }),
    "image.forceCompression",
    /say which one the layers should have/,
  ],
  [
    "a level of a compression that has none",
    image({ compression: "gzip", compressionLevel: 19 }),
    "image.compressionLevel",
    /a level that it has/,
  ],
  [
    "a push by digest with a tag",
    image({ pushByDigest: true }),
    "image.pushByDigest",
    /write tags as repositories/,
  ],
  [
    "an annotation of the index for one platform",
    image({ annotations: [{ name: "a", value: "b", level: "index", platform: "linux/arm64" }] }),
    "annotations[0].platform",
    /platform chooses among manifests/,
  ],
  [
    "timestamps rewritten to no time",
    image({ rewriteTimestamp: true }),
    "spec.outputs",
    /add SOURCE_DATE_EPOCH to buildArgs/,
  ],
  [
    "inline cache without an image",
    run({ cache: { to: [{ inline: {} }] } }),
    "spec.cache",
    /add an image to outputs or use cache\.to\.registry/,
  ],
  [
    "inline cache twice",
    image({}, { cache: { to: [{ inline: {} }, { inline: {} }] } }),
    "spec.cache.to",
    /remove the second/,
  ],
  [
    "a cache of two kinds",
    image({}, { cache: { to: [{ inline: {}, registry: { ref: "a/b" } }] } }),
    "spec.cache.to[0]",
    /exactly one of registry, inline/,
  ],
  [
    "an unknown cache mode",
    run({ cache: { to: [{ registry: { ref: "a/b", mode: "all" } }] } }),
    "spec.cache.to[0].registry.mode",
    /supported values: "min", "max"/,
  ],
  [
    "a cache that is a url",
    run({ cache: { from: [{ registry: { ref: "http://a/b" } }] } }),
    "spec.cache.from[0].registry.ref",
    reference,
  ],
  [
    "credentials in an impossible Secret",
    run({ registryCredentials: [{ secretRef: { name: "a/b" } }] }),
    "spec.registryCredentials[0].secretRef.name",
    /must be the name of an object/,
  ],
];

/** Cases of where, for how long and how often. */
export const life: readonly Refusal[] = [
  ["no time at all", run({ timeout: "0s" }), "spec.timeout", time],
  ["a time in words", run({ timeout: "5 minutes" }), "spec.timeout", time],
  ["a time too long", run({ timeout: "169h" }), "spec.timeout", time],
  ["a time without a unit", run({ timeout: "90" }), "spec.timeout", time],
  [
    "a negative retention",
    run({ ttlAfterFinished: "-1h" }),
    "spec.ttlAfterFinished",
    /must be between 0s and 8760h/,
  ],
  [
    "less than no retries",
    run({ retry: { limit: -1 } }),
    "spec.retry.limit",
    /greater than or equal to 0/,
  ],
  ["eleven retries", run({ retry: { limit: 11 } }), "retry.limit", /less than or equal to 10/],
  [
    "a builder of another kind",
    run({ builderRef: { kind: "Pod", name: "a" } }),
    "spec.builderRef.kind",
    /supported values: "Builder", "ClusterBuilder"/,
  ],
  [
    "a builder of another namespace",
    run({ builderRef: { name: "other/builder" } }),
    "spec.builderRef.name",
    /must be the name of an object/,
  ],
  [
    "a service account in capitals",
    run({ serviceAccountName: "CI" }),
    "spec.serviceAccountName",
    /must be the name of an object/,
  ],
  [
    "a run with a long name",
    run({}, "a".repeat(64)),
    "metadata.name",
    /at most 63 characters.*choose a shorter name/,
  ],
];
