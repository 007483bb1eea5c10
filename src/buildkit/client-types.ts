// What a BuildKit client promises: requests, results and the port that callers code against. Types only.
import type { BuildkitError } from "./errors/errors.ts";
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

/** A build as the daemon is asked for it. Plain JSON; holds no secret: those travel through attachables. */
export interface SolveRequest {
  /** Unique for ever on a daemon; a second solve of a live ref fails with Infra/DuplicateRef. */
  readonly ref: string;
  readonly frontend: "dockerfile.v0" | "gateway.v0";
  readonly frontendAttrs: Readonly<Record<string, string>>;
  readonly exporters: readonly TypedAttrs[];
  readonly cacheImports: readonly TypedAttrs[];
  readonly cacheExports: readonly TypedAttrs[];
  /** What the daemon does with sources before it fetches them. */
  readonly sourcePolicy?: SourcePolicy;
  /** Such as "network.host"; the daemon must allow them. */
  readonly entitlements?: readonly string[];
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

/** One worker of a daemon. */
export interface Worker {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  /** "linux/amd64", "linux/arm/v7"; the first is the worker's own. */
  readonly platforms: readonly string[];
  readonly gcPolicy: readonly GcRule[];
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
  readonly logs?: HistoryBlob;
}

/**
 * A connection to one buildkitd. Lazy: nothing is dialled before the first call; broken connections are
 * dialled anew. Every call but `solve` has a deadline of its own. All reject with BuildkitError.
 */
export interface BuildkitClient {
  info(signal: AbortSignal): Promise<DaemonInfo>;
  workers(signal: AbortSignal): Promise<Worker[]>;
  /** Opens a session, solves, follows progress, closes the session. On a connection of its own. */
  solve(request: SolveRequest, options: SolveOptions): Promise<SolveResult>;
  /** What the daemon knows of a ref; undefined when nothing (never seen, or forgotten: 48 h, 50 builds). */
  history(ref: string, signal: AbortSignal): Promise<HistoryRecord | undefined>;
  /** Forgets a ref; fine when it is not there. */
  forget(ref: string, signal: AbortSignal): Promise<void>;
  /** The whole of a history blob (≤ 16 MiB). */
  readBlob(digest: string, signal: AbortSignal): Promise<Buffer>;
  /** Ends idle connections; solves in flight go on. */
  close(): void;
}
