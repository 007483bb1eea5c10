// The front door of the BuildKit client (`kiln/buildkit`): connect, solve, and what a solve may be given.
// How to use it: docs/buildkit-client.md.
export { connect, type ConnectOptions } from "./client.ts";
export type {
  BuildkitClient,
  DaemonInfo,
  GcRule,
  HistoryAttestation,
  HistoryBlob,
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
export { endpointText, parseEndpoint, type Endpoint, type TlsMaterial } from "./rpc/endpoint.ts";
export { BuildkitError, type BuildkitErrorInit } from "./errors/errors.ts";
export type { ErrorSource } from "./errors/details.ts";
export type {
  LogEvent,
  ProgressEvent,
  SolveEvent,
  SourceLines,
  VertexEvent,
  WarningEvent,
} from "./progress/events.ts";
export type { Attachable } from "./session/attachable.ts";
export { authProvider, type AuthOptions } from "./session/services/auth.ts";
export { maxSecretBytes, secretsProvider, type SecretLookup } from "./session/services/secrets.ts";
export type { DockerConfig } from "../registry/docker-config.ts";
export { filesync } from "./session/filesync/send.ts";
export { diskTree, type DiskTreeOptions } from "./session/filesync/disk-tree.ts";
export { inMemoryTree, type MemoryFile } from "./session/filesync/memory-tree.ts";
export type { Tree } from "./session/filesync/tree.ts";
export { sshProvider, type SshKeys } from "./session/services/ssh.ts";
