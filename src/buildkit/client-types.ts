// What a BuildKit client promises: requests, results and the port that callers code against. Types only.
import type { BlobInfo, BlobRange } from "./control/blobs.ts";
import type { CacheRecord, DiskUsageOptions, PruneOptions } from "./control/disk.ts";
import type { BuildkitError } from "./errors/errors.ts";
import type { BuildCallback, BuildRequest } from "./gateway/build.ts";
import type { SolveEvent } from "./progress/events.ts";
import type { Attachable } from "./session/attachable.ts";

/** One exporter or cache backend with its attributes, as buildctl writes `type=x,key=value`. */
export interface TypedAttrs {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** Rules for the sources of a build (images, git, http); the daemon applies them to every source the build names. */
export interface SourcePolicy {
  readonly rules: readonly SourceRule[];
}

/** One rule: the sources it is about, and what becomes of them. The last of allow and deny holds; convert changes a source. */
export interface SourceRule {
  readonly action: "allow" | "deny" | "convert";
  readonly selector: {
    /** Such as "git://host/path.git#main", "https://…", "docker-image://…"; a pattern for wildcard and regex. */
    readonly identifier: string;
    readonly match: "exact" | "wildcard" | "regex";
    readonly constraints?: readonly {
      readonly key: string;
      readonly value: string;
      readonly condition: "equal" | "notEqual" | "matches";
    }[];
  };
  /** For convert. `identifier` may use what a wildcard or group matched ("${1}"). */
  readonly updates?: {
    readonly identifier: string;
    readonly attrs?: Readonly<Record<string, string>>;
  };
}

/** LLB: the bytes of a marshalled pb.Definition, as `buildctl debug dump-llb` reads and `llb.WriteTo` writes them. */
export type Definition = Uint8Array;

/** A build as the daemon is asked for it. Plain JSON but for LLB; holds no secret: those travel through attachables. */
export interface SolveRequest {
  /** Unique for ever on a daemon; a second solve of a live ref fails with Infra/DuplicateRef. */
  readonly ref: string;
  /** "dockerfile.v0", "gateway.v0" with the attribute `source`, or "" with a definition. */
  readonly frontend: string;
  readonly frontendAttrs: Readonly<Record<string, string>>;
  /** LLB that is solved as it is; then `frontend` is "". */
  readonly definition?: Definition;
  /** LLB that the frontend may ask for, by name ("context"). */
  readonly frontendInputs?: Readonly<Record<string, Definition>>;
  readonly exporters: readonly TypedAttrs[];
  readonly cacheImports: readonly TypedAttrs[];
  readonly cacheExports: readonly TypedAttrs[];
  /** What the daemon does with sources before it fetches them. */
  readonly sourcePolicy?: SourcePolicy;
  /** Such as "network.host", "security.insecure", "device=…"; the daemon must allow them. */
  readonly entitlements?: readonly string[];
  /** Leaves no record in the history, and so no logs, provenance or result of a subrequest. */
  readonly internal?: boolean;
  /** Also ask the session which exporters to run (moby.exporter.v1.Exporter must be among the attachables). */
  readonly enableSessionExporter?: boolean;
  /** Ask the session about each source (PolicyVerifier must be among the attachables). */
  readonly sourcePolicySession?: boolean;
  /** 10, 20 or 30: behave as BuildKit of that time did. Default: the daemon's newest. */
  readonly compatibilityVersion?: number;
  /** Steps reach the network only through the daemon's proxy, which keeps a list of what they fetched. */
  readonly proxyNetwork?: boolean;
}

/** How one solve is run. */
export interface SolveOptions {
  /** What the daemon may ask of us during the build: files, secrets, logins, SSH keys. */
  readonly attachables: readonly Attachable[];
  /** Stable for the same source of local files: lets the daemon transfer only what changed. */
  readonly sharedKey?: string;
  /** Progress, in the order the daemon sent it. Must not throw and must not block. */
  onEvent(event: SolveEvent): void;
  /** Aborting cancels the build on the daemon. */
  readonly signal: AbortSignal;
}

/** An OCI descriptor as the image exporter returns it. */
export interface ImageDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes of the manifest or index. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What a finished solve says about its outputs. */
export interface SolveResult {
  /** All keys as the daemon sent them. */
  readonly exporterResponse: Readonly<Record<string, string>>;
  /**
   * `containerimage.digest`: manifest, or index of several platforms. Of several exporters the daemon tells only
   * one; the history record of the ref has all (`images`).
   */
  readonly digest?: string;
  readonly configDigest?: string;
  readonly descriptor?: ImageDescriptor;
  /** `image.name`: every reference that was written or pushed. */
  readonly imageNames: readonly string[];
  /** `cache.manifest`: digest of an exported registry cache. */
  readonly cacheManifest?: string;
}

/** One garbage collection rule of a worker. Durations in seconds, spaces in bytes; 0 and unset are left out. */
export interface GcRule {
  readonly all: boolean;
  readonly filters: readonly string[];
  readonly keepDurationSeconds?: number;
  readonly reservedSpace?: number;
  readonly maxUsedSpace?: number;
  readonly minFreeSpace?: number;
}

/** A device that steps may ask for, by the rules of the Container Device Interface. */
export interface CdiDevice {
  readonly name: string;
  /** Builds get it without an entitlement. */
  readonly autoAllow: boolean;
  /** The daemon can set it up when it is asked for. */
  readonly onDemand: boolean;
  readonly annotations: Readonly<Record<string, string>>;
}

/** One worker of a daemon. */
export interface Worker {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  /** "linux/amd64", "linux/arm/v7"; the first is the worker's own. */
  readonly platforms: readonly string[];
  readonly gcPolicy: readonly GcRule[];
  readonly devices: readonly CdiDevice[];
  /** Without the leading "v"; "" when the daemon does not say. */
  readonly version: string;
}

/** Which buildkitd answers. */
export interface DaemonInfo {
  /** Without the leading "v". */
  readonly version: string;
  readonly revision?: string;
}

/** A blob in the daemon's history: attestation, log, trace. Read it with `readBlob`. */
export interface HistoryBlob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
}

/** An attestation kept in history; `predicateType` names what it states (provenance, SBOM). */
export interface HistoryAttestation extends HistoryBlob {
  /** "" when the build had one unnamed platform. */
  readonly platform: string;
  readonly predicateType: string;
}

/** What the daemon remembers of a ref. */
export interface HistoryRecord {
  readonly ref: string;
  /** Still solving. The fields of the outcome are then empty. */
  readonly active: boolean;
  readonly frontend: string;
  /** As they were sent. What was sent as cache or registry attributes may hold credentials: do not show them. */
  readonly frontendAttrs: Readonly<Record<string, string>>;
  readonly exporters: readonly TypedAttrs[];
  /** Pinned records are kept whatever their age. */
  readonly pinned: boolean;
  /** Counts the changes of the record. */
  readonly generation: number;
  readonly createdAt?: Date;
  readonly completedAt?: Date;
  /** Set when it ended well. Holds the digest of the first exporter; `images` has those of all. */
  readonly result?: SolveResult;
  /** Set when it failed; decoded like the error of `solve`, but without a log tail. */
  readonly error?: BuildkitError;
  readonly steps: { readonly total: number; readonly completed: number; readonly cached: number };
  readonly warnings: number;
  /** What each exporter made, in their order: image manifest or index. `platform` is "" but for odd daemons. */
  readonly images: readonly {
    readonly platform: string;
    readonly exporter: number;
    readonly descriptor: HistoryBlob;
  }[];
  readonly attestations: readonly HistoryAttestation[];
  /** The status messages of the build, as `application/vnd.buildkit.status.v0`. */
  readonly logs?: HistoryBlob;
  /** OpenTelemetry spans as JSON; there some seconds after the end, or once `finalize` was called. */
  readonly trace?: HistoryBlob;
}

/** Which records of the history. */
export interface HistoryOptions {
  /**
   * Any of them may hold: "ref==x", "status==error" (running, completed, error, canceled), "repository~=x",
   * "startedAt>24h", "completedAt<2026-01-02T03:04:05Z", "duration>10m"; joined by "," all must. They apply to what
   * is over: running builds come always.
   */
  readonly filters?: readonly string[];
  /** The latest so many. */
  readonly limit?: number;
  /** Only what is being solved. */
  readonly activeOnly?: boolean;
}

/** Something that happened in the history. A record that was pinned or changed is told again as completed. */
export interface HistoryEvent {
  readonly kind: "started" | "completed" | "deleted";
  /** Of a deleted one just the ref. */
  readonly record: HistoryRecord;
}

/**
 * A connection to one buildkitd. Lazy: nothing is dialled before the first call; broken connections are
 * dialled anew. Every call but `solve` and `build` has a deadline of its own; streams that last have one for how
 * long a broken connection may stay broken. All reject with BuildkitError.
 */
export interface BuildkitClient {
  info(signal: AbortSignal): Promise<DaemonInfo>;
  /** All workers, or those that one of the containerd filters fits ("id==x", "platform==linux/arm64", "labels.a==b"). */
  workers(signal: AbortSignal, filters?: readonly string[]): Promise<Worker[]>;
  /** Opens a session, solves, follows progress, closes the session. On a connection of its own. */
  solve(request: SolveRequest, options: SolveOptions): Promise<SolveResult>;
  /**
   * As `solve`, but what is built is what `run` hands back: it plays the frontend and may solve parts, read their
   * files and combine them. What `run` throws ends the build: an error of the gateway as it would end a solve, one
   * of its own as User/CallbackFailed with it as the cause.
   */
  build(request: BuildRequest, options: SolveOptions, run: BuildCallback): Promise<SolveResult>;
  /** The progress of a ref that somebody else solves, or that the history knows, from its start to its end. */
  follow(ref: string, options: Pick<SolveOptions, "onEvent" | "signal">): Promise<void>;
  /** The records of the cache, smallest first. */
  diskUsage(signal: AbortSignal, options?: DiskUsageOptions): Promise<CacheRecord[]>;
  /** Removes from the cache; yields each record when it is gone. Leaving the loop stops it. */
  prune(signal: AbortSignal, options?: PruneOptions): AsyncGenerator<CacheRecord, void, undefined>;
  /** What the daemon knows of a ref; undefined when nothing (never seen, or forgotten: 48 h, 50 builds). */
  history(ref: string, signal: AbortSignal): Promise<HistoryRecord | undefined>;
  /** The records there are, latest first. */
  histories(signal: AbortSignal, options?: HistoryOptions): Promise<HistoryRecord[]>;
  /**
   * The records there are, then what happens to them, until the signal aborts; of one ref or of all. Goes on over
   * broken connections, but does not tell of what was deleted meanwhile.
   */
  watchHistory(
    signal: AbortSignal,
    options?: Pick<HistoryOptions, "activeOnly"> & { readonly ref?: string },
  ): AsyncGenerator<HistoryEvent, void, undefined>;
  /** Keeps a finished ref whatever its age, or no longer. */
  pin(ref: string, pinned: boolean, signal: AbortSignal): Promise<void>;
  /** Writes the trace of a finished ref at once; the daemon would do so some seconds later. */
  finalize(ref: string, signal: AbortSignal): Promise<void>;
  /** Forgets a ref; fine when it is not there. */
  forget(ref: string, signal: AbortSignal): Promise<void>;
  /** The whole of a history blob, or a range of it (≤ 16 MiB). */
  readBlob(digest: string, signal: AbortSignal, range?: BlobRange): Promise<Buffer>;
  /** A history blob in chunks, of any size. */
  streamBlob(
    digest: string,
    signal: AbortSignal,
    range?: BlobRange,
  ): AsyncGenerator<Uint8Array, void, undefined>;
  blobInfo(digest: string, signal: AbortSignal): Promise<BlobInfo>;
  /** Ends idle connections; solves in flight go on. */
  close(): void;
}
