// The front door of the BuildKit client (`kiln/buildkit`): connect, solve, and what a solve may be given.
// How to use it: docs/buildkit-client.md.
export { connect, type ConnectOptions } from "./client.ts";
export type {
  BuildkitClient,
  CdiDevice,
  DaemonInfo,
  Definition,
  GcRule,
  HistoryAttestation,
  HistoryBlob,
  HistoryEvent,
  HistoryOptions,
  HistoryRecord,
  ImageDescriptor,
  SolveOptions,
  SolveRequest,
  SolveResult,
  SourcePolicy,
  SourceRule,
  TypedAttrs,
  Worker,
} from "./client-types.ts";
export { maxBlobBytes, type BlobInfo, type BlobRange } from "./control/blobs.ts";
export type { CacheRecord, DiskUsageOptions, PruneOptions } from "./control/disk.ts";
export type { BuildCallback, BuildRequest } from "./gateway/build.ts";
export type {
  Capabilities,
  Gateway,
  GatewayFile,
  GatewaySolve,
  ImageConfig,
  ResolveOptions,
  SourceMeta,
} from "./gateway/gateway.ts";
export type { WarningText } from "./gateway/bridge-wire.ts";
export {
  refsOf,
  type GatewayAttestation,
  type GatewayRef,
  type GatewayResult,
} from "./gateway/result.ts";
export {
  describeResult,
  lintResult,
  outlineResult,
  subrequestAttrs,
  subrequestResult,
  subrequests,
  targetsResult,
  type LintResult,
  type LintWarning,
  type Needed,
  type OutlineResult,
  type SourceLocation,
  type SubrequestDescription,
  type SubrequestResult,
  type Target,
} from "./gateway/subrequests.ts";
export {
  dialStdio,
  parseStdioAddress,
  schemes,
  type ContainerAddress,
  type PodAddress,
  type SshAddress,
  type StdioAddress,
} from "./rpc/address.ts";
export { dialEngine, engineHost, type Engine } from "./rpc/sockets.ts";
export {
  endpointText,
  parseEndpoint,
  type DockerEndpoint,
  type Endpoint,
  type StreamEndpoint,
  type TcpEndpoint,
  type TlsMaterial,
  type UnixEndpoint,
} from "./rpc/endpoint.ts";
export { BuildkitError, type BuildkitErrorInit } from "./errors/errors.ts";
export type {
  ErrorDetails,
  FailedSolve,
  IncompleteMaterial,
  PolicyDecision,
} from "./errors/details.ts";
export { renderSource, type ErrorSource, type SourceRange } from "./errors/source-lines.ts";
export {
  advance,
  countSteps,
  noProgress,
  stepOf,
  type ProgressState,
  type Step,
  type StepPart,
} from "./progress/state.ts";
export type { LogLine, LogTail } from "./progress/log-tail.ts";
export type { Interval } from "./progress/intervals.ts";
export { quietDisplay, type Display, type DisplaySize } from "./progress/display/display.ts";
export { bytesText } from "./progress/display/format.ts";
export { plainDisplay } from "./progress/display/plain.ts";
export { rawJsonDisplay } from "./progress/display/raw-json.ts";
export {
  colourlessPalette,
  defaultPalette,
  ttyDisplay,
  type Palette,
  type TtyOptions,
} from "./progress/display/tty.ts";
export type {
  LogEvent,
  Nanos,
  ProgressEvent,
  SolveEvent,
  SourceLines,
  StepGroup,
  VertexEvent,
  WarnedFile,
  WarnedRange,
  WarningEvent,
} from "./progress/events.ts";
export type { Attachable } from "./session/attachable.ts";
export { authProvider, type AuthOptions } from "./session/services/auth.ts";
export { maxSecretBytes, secretsProvider, type SecretLookup } from "./session/services/secrets.ts";
export type { DockerConfig } from "../registry/docker-config.ts";
export { filesync } from "./session/filesync/send.ts";
export { diskTree, type DiskTreeOptions } from "./session/filesync/disk-tree.ts";
export {
  contextExcludes,
  ignorePatterns,
  type DockerfilePlace,
} from "./session/filesync/patterns/ignore-file.ts";
export { sharedKeyOf } from "./session/filesync/shared-key.ts";
export { inMemoryTree, type MemoryFile } from "./session/filesync/memory-tree.ts";
export type { DirectoryEntry, FileStat, Folder, OpenFile, Tree } from "./session/filesync/tree.ts";
export { sshProvider, type SshKeys, type SshSource } from "./session/services/ssh.ts";
export { uploadProvider, type Uploads } from "./session/services/upload.ts";
export {
  exporterSession,
  type BuildOutcome,
  type ExporterChoice,
} from "./session/services/exporter.ts";
export {
  policySession,
  type NamedSource,
  type PolicyAnswer,
  type PolicyCallback,
  type PolicyFacts,
  type PolicyQuestion,
} from "./session/services/policy.ts";
export {
  exportReceiver,
  toDirectory,
  toFile,
  toStream,
  type DirectoryOptions,
  type ExportMetadata,
  type ExportTarget,
} from "./session/export/targets.ts";
export { fileSink, streamSink, type FileSink } from "./session/export/file-sink.ts";
export { lentStore, type LentBytes } from "./session/content/lent-store.ts";
export { contentProvider, type StoreUse } from "./session/content/service.ts";
export { layoutStore, type ContentStore, type StoredBlob } from "./session/content/store.ts";
export {
  layoutExport,
  localCacheExport,
  localCacheImport,
  ociLayoutContext,
  type CacheExport,
  type CacheExportOptions,
  type CacheImport,
  type LayoutContext,
  type LayoutExport,
  type ManifestChoice,
} from "./session/content/local-stores.ts";
