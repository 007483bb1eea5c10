// Failures of what was asked for: files, Dockerfile, frontend, LLB, outputs, caches.
// Texts as BuildKit v0.34.2 and the parts it is made of word them.
import type { Row } from "./row.ts";
import { grpcStatus } from "../grpc-status.ts";

/** Rows about the request. Tried from the top. */
export const requestRows: readonly Row[] = [
  // What was written.
  [
    "LintViolation",
    "User",
    "final",
    { text: /lint violation found for rules/ },
    "Correct what the warnings name, or take error=true out of the Dockerfile's check line.",
  ],
  [
    "UnknownTarget",
    "User",
    "final",
    { text: /target stage .* could not be found/ },
    "Name a stage that the Dockerfile has.",
  ],
  [
    "ContextNotFound",
    "User",
    "final",
    { text: /local directory .* is not there|no access allowed to dir|no local sources enabled/ },
    "Give the build the directory that it names.",
  ],
  [
    "OciLayoutNotFound",
    "User",
    "final",
    { text: /unable to get info about digest|oci-layout.*not found|unknown store|OCI layout/i },
    "Give the build the OCI layout that it names, with the digest that it names.",
  ],
  [
    "SessionMethodMissing",
    "User",
    "final",
    {
      text: /method \S+ not supported by the client|this session does not answer|Unimplemented.*unknown (?:service|method) |could not access local files without session/,
    },
    "Give the session what the build asks of it: outputs need a receiver, caches a store.",
  ],
  [
    "DockerfileNotFound",
    "User",
    "final",
    { text: /failed to read dockerfile/i },
    "Check the path of the Dockerfile in the context.",
  ],
  [
    "ContextFileNotFound",
    "User",
    "final",
    {
      text: /failed to (?:calculate checksum|compute cache key).*not found|lstat .*no such file or directory|no such file or directory/,
    },
    "The context does not have this file; .dockerignore may exclude it.",
  ],
  // A step that ran, such as WORKDIR over a file: its line in the Dockerfile is known, and nothing is wrong with that.
  [
    "BuildFailed",
    "User",
    "final",
    { detail: "Vertex", beside: "Source", codes: [grpcStatus.unknown] },
    "See its last output.",
  ],
  ["DockerfileInvalid", "User", "final", { detail: "Source" }, "Correct the Dockerfile."],
  [
    "DockerfileInvalid",
    "User",
    "final",
    {
      text: /dockerfile parse error|failed to parse platform|failed to parse stage name|no build stage/i,
    },
    "Correct the Dockerfile.",
  ],
  [
    "DefinitionInvalid",
    "User",
    "final",
    {
      text: /invalid (?:empty )?definition|invalid LLB|invalid (?:nil|exec|file|merge|diff|source|passthrough|build) op\b|failed to (?:load|parse) (?:LLB|llb)|cannot solve with both Definition and Frontend|error unmarshalling request|invalid missing input digest|failed to unmarshal/,
    },
    "Give LLB that a BuildKit client made, without a frontend beside it.",
  ],
  [
    "FrontendUnknown",
    "User",
    "final",
    { text: /invalid frontend: |no source specified for gateway|frontend .* not found/ },
    "Use dockerfile.v0, or gateway.v0 with the frontend's image as `source`.",
  ],
  [
    "FrontendFailed",
    "User",
    "final",
    {
      text: /frontend grpc server closed unexpectedly|gateway source didn't return|no result for incomplete build/,
    },
    "The frontend's image ended without a result: use another version of it.",
  ],
  [
    "CompatibilityUnsupported",
    "User",
    "final",
    { text: /unsupported compatibility-version/ },
    "Ask for a compatibility version that the builder has, or use a newer builder.",
  ],
  [
    "CacheUnknown",
    "User",
    "final",
    { text: /unknown cache (?:exporter|importer)/ },
    "The builder has no such cache: registry, local, inline, gha, s3 and azblob are usual.",
  ],
  [
    "CacheOptionInvalid",
    "User",
    "final",
    {
      text: /failed to configure \S+ cache (?:exporter|importer)|duplicate cache exports|(?:not set|attribute is required|attribute) for (?:s3|github actions|azblob) cache|local cache (?:exporter|importer)\S* requires|invalid configuration for remote cache/,
    },
    "Correct the attributes of the cache.",
  ],
  [
    "ExporterUnknown",
    "User",
    "final",
    { text: /exporter .* could not be found/ },
    "The builder has no such output.",
  ],
  [
    "ExporterOptionInvalid",
    "User",
    "final",
    {
      text: /exporter option|does not currently support exporting manifest lists|cannot export (?:annotations|attestations|multiple platforms)|annotations? not supported for|unsupported (?:layer )?compression|non-(?:bool|int) value|can't push tagged ref|tag is needed when pushing|invalid (?:reference format|mode "|annotation:)|multiple platforms without|multiple refs/,
    },
    "Correct the attributes of the output.",
  ],
  [
    "OptionInvalid",
    "User",
    "final",
    { detail: "Frontend" },
    "The frontend refuses an option of this build.",
  ],
];
