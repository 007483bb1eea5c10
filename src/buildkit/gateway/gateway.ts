// What somebody who plays the frontend of a build may ask of the daemon. Types only.
import type { Definition, SourcePolicy, TypedAttrs, Worker } from "../client-types.ts";
import type { WarningText } from "./bridge-wire.ts";
import type { GatewayRef, GatewayResult } from "./result.ts";

/** A part of the build: LLB, or what another frontend makes of attributes. */
export interface GatewaySolve {
  /** LLB; then there is no frontend. */
  readonly definition?: Definition;
  readonly frontend?: string;
  readonly frontendAttrs?: Readonly<Record<string, string>>;
  readonly frontendInputs?: Readonly<Record<string, Definition>>;
  readonly cacheImports?: readonly TypedAttrs[];
  /** Further policies; those of the whole build hold anyway. */
  readonly sourcePolicies?: readonly SourcePolicy[];
  /** Run it now. Default: when its files are first read, or when the build is exported. */
  readonly evaluate?: boolean;
}

/** A file or directory of a ref. */
export interface GatewayFile {
  /** Of `readDir`: the name. Of `statFile`: the last part of the path. */
  readonly path: string;
  /** Go's os.FileMode, unsigned. */
  readonly mode: number;
  readonly isDirectory: boolean;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Target of a symlink, else "". */
  readonly linkTarget: string;
}

/** How an image or another source is looked up. */
export interface ResolveOptions {
  /** "linux/arm64". Default: the daemon's own. */
  readonly platform?: string;
  /** `pull` asks the registry even when the daemon has the image. Default: "default". */
  readonly mode?: "default" | "pull" | "local";
  /** The name of the step that people see. */
  readonly logName?: string;
  /** Of a git source: also fetch the commit and tell what is in it. */
  readonly commitObject?: boolean;
  /** Of an image in an OCI layout that the session lends out: the name of its store. */
  readonly ociStore?: string;
}

/** A resolved image. */
export interface ImageConfig {
  readonly ref: string;
  readonly digest: string;
  /** The image's config file. */
  readonly config: Buffer;
}

/** What a source is right now. */
export interface SourceMeta {
  /** As the policies made of it. */
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly image?: { readonly digest: string; readonly config: Buffer };
  readonly git?: {
    readonly checksum: string;
    readonly ref: string;
    /** Of the commit that an annotated tag names. */
    readonly commitChecksum: string;
    /** The commit as git keeps it, when it was asked for: headers, an empty line, the message. */
    readonly commitObject?: Buffer;
  };
  readonly http?: {
    readonly checksum: string;
    readonly filename: string;
    readonly lastModified?: Date;
  };
}

/** Which of the things of a daemon of this version are on. */
export interface Capabilities {
  /** Calls of the gateway: "readdir", "gateway.warnings", "source.metaresolver". */
  gateway(id: string): boolean;
  /** Of LLB, exporters and caches: "exporter.multiple", "cache.s3", "source.ocilayout". */
  llb(id: string): boolean;
}

/**
 * The bridge of one build. Calls that may run steps (solve, evaluate, the readers, the resolvers) take as long as
 * those and end with the build; the others have the deadline of the client. All reject with BuildkitError.
 */
export interface Gateway {
  readonly ref: string;
  /** Of the session that serves this build. */
  readonly sessionId: string;
  /** Aborts when the build is over or cancelled. */
  readonly signal: AbortSignal;
  readonly capabilities: Capabilities;
  readonly workers: readonly Worker[];
  solve(request: GatewaySolve): Promise<GatewayResult>;
  /** A file, or the part of it that a range names; what is above 16 MiB needs ranges. */
  readFile(
    ref: GatewayRef,
    path: string,
    range?: { readonly offset: number; readonly length: number },
  ): Promise<Buffer>;
  /** The entries of a directory, or those that fit a pattern ("*.txt"). */
  readDir(ref: GatewayRef, path: string, include?: string): Promise<GatewayFile[]>;
  statFile(ref: GatewayRef, path: string): Promise<GatewayFile>;
  /** Runs the steps of a ref now. */
  evaluate(ref: GatewayRef): Promise<void>;
  /** Shows a warning to whoever watches the build, at a step of it. */
  warn(vertexDigest: string, warning: WarningText): Promise<void>;
  resolveImageConfig(image: string, options?: ResolveOptions): Promise<ImageConfig>;
  /** `identifier` such as "docker-image://…", "git://…", "https://…". */
  resolveSourceMeta(
    source: { readonly identifier: string; readonly attrs?: Readonly<Record<string, string>> },
    options?: Pick<ResolveOptions, "platform" | "mode" | "logName" | "commitObject">,
  ): Promise<SourceMeta>;
  /** The `frontendInputs` of the build. */
  inputs(): Promise<Record<string, Definition>>;
}
