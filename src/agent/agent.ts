// What an agent is: the owner of running solves. The controller hands it complete jobs and may come and go. Beside a
// buildkitd in a pod it is a process of its own, reached over the wire; for other daemons it lives in the controller's.

import type { DockerConfig, Endpoint, SolveEvent, SolveRequest } from "../buildkit/index.ts";
import type { ErrorClass } from "../errors/index.ts";
import type { RegistryTrust } from "../registry/authorities.ts";
import type { FileFacts } from "./outputs/places.ts";
import type { Sealed } from "./sealed.ts";

/**
 * The image store of a Docker engine. It can't travel: only the agent in this process has it. All of it throws `KilnError`
 * Infra `OutputPlaceFailed`.
 */
export interface EngineStore {
  /** Whether it takes an OCI layout, and so several platforms and attestations; it takes what `docker save` writes anyway. */
  takesOci(signal: AbortSignal): Promise<boolean>;
  /** Begins to load an archive. */
  load(signal: AbortSignal): Promise<{
    /** The bytes have to stay until it resolves. */
    write(chunk: Uint8Array): Promise<void>;
    /** Resolves to the name of the image, or its ID. */
    finish(): Promise<string>;
    abort(): void;
  }>;
}

/** Where solves run: a daemon that this process's own agent dials, or an agent beside its daemon. */
export interface Place {
  readonly kind: "daemon" | "agent";
  /** Of the daemon, or of the agent. */
  readonly endpoint: Endpoint;
  /** Of the Docker engine behind the daemon. */
  readonly engine?: EngineStore;
}

/** All agents, by where they are. */
export interface Agents {
  /** The agent for a place; the same one as long as the place is the same. */
  at(place: Place): Agent;
}

/** One private key that the daemon may use through an agent socket; `id` is the SSH mount id (`default` for git contexts). */
export interface SshKey {
  readonly id: string;
  /** PEM or OpenSSH text. */
  readonly privateKey: string;
}

/** Attributes of an entry of the request that hold secrets: they join it where the daemon is asked, and nowhere else. */
export interface HiddenAttrs {
  readonly list: "imports" | "exports" | "outputs" | "frontend";
  readonly index: number;
  readonly attrs: Readonly<Record<string, string>>;
}

/** What a solve needs besides its request. Held in memory only. */
export interface Materials extends RegistryTrust {
  /** Of the daemon. An agent that knows its own daemon ignores it. */
  readonly endpoint: Endpoint;
  /** Session secrets by id. */
  readonly secrets: ReadonlyMap<string, Buffer>;
  /** Logins for registries. */
  readonly logins: DockerConfig;
  readonly sshKeys: readonly SshKey[];
  /** Local trees by the name the frontend asks for: flat file names to contents. */
  readonly trees: ReadonlyMap<string, ReadonlyMap<string, Buffer>>;
  /** Default: none. */
  readonly hidden?: readonly HiddenAttrs[];
  /** Where images are loaded. */
  readonly engine?: EngineStore;
}

/** A solve, complete: nothing else has to be read to run it. */
export interface Job {
  /** `<uid of the run>-<attempt>`: the daemon refuses a second job of the same ref. */
  readonly ref: string;
  readonly request: SolveRequest;
  readonly materials: Sealed<Materials>;
}

/** Why a solve failed, as plain data. Known secret values are already cut out of every text. */
export interface SolveFailure {
  readonly class: ErrorClass;
  readonly reason: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly step?: string;
  readonly dockerfile?: { readonly path: string; readonly line: number; readonly endLine?: number };
  readonly exitCode?: number;
  /** The last lines that the failed step printed, oldest first. */
  readonly logTail: readonly string[];
}

/** An image that was exported. */
export interface ImageFacts {
  /** Which exporter of the request made it, when the daemon tells. */
  readonly exporter?: number;
  /** Of the manifest, or of the index for several platforms. */
  readonly digest: string;
  /** Bytes of the compressed layers, configs and manifests that `digest` reaches, without attestations. */
  readonly size?: number;
  readonly platforms: readonly {
    readonly platform: string;
    readonly digest: string;
    readonly size?: number;
  }[];
  /** Statements that the index keeps with the image: provenance, SBOM. */
  readonly attestations?: readonly AttestationFact[];
  /** The tags that were pushed, as the registry showed them afterwards. */
  readonly readBack?: readonly ReadBack[];
}

/** A statement about an image of an index. */
export interface AttestationFact {
  /** Of the image that it is about. */
  readonly platform?: string;
  readonly predicateType: string;
  readonly digest: string;
}

/** What a registry has under a tag; without a digest, `message` says why nobody knows. */
export interface ReadBack {
  readonly tag: string;
  readonly digest?: string;
  readonly message?: string;
}

/** A warning of the frontend. Lines count from 1. */
export interface WarningFact {
  readonly rule?: string;
  readonly message: string;
  readonly file?: string;
  readonly line?: number;
  readonly url?: string;
}

/** The answer to a question that was asked instead of building. */
export interface CallFacts {
  /** Such as "frontend.outline". */
  readonly request: string;
  readonly version: string;
  /** What a command that shows the answer exits with; 0: nothing is wrong. */
  readonly statusCode: number;
  /** JSON, compact; absent when there is none or when it is too large. */
  readonly result?: string;
  readonly text?: string;
  /** A part of the answer was too large; the daemon's history has it. */
  readonly cut: boolean;
  /** What lint found, and why the Dockerfile does not build at all. */
  readonly lint?: { readonly warnings: readonly WarningFact[]; readonly error?: WarningFact };
}

/** What a finished solve made and used, read from the daemon. Everything is optional: facts never fail a solve. */
export interface SolveFacts {
  /** One for each image exporter, in order; a single one when the daemon does not tell them apart. */
  readonly images: readonly ImageFacts[];
  /** What file outputs left in their places. */
  readonly files?: readonly FileFacts[];
  readonly git?: {
    readonly url: string;
    readonly commit: string;
    /** "Name <address>". */
    readonly author?: string;
    /** ISO time. */
    readonly committedAt?: string;
  };
  readonly http?: { readonly url: string; readonly checksum: string };
  readonly baseImages: readonly { readonly ref: string; readonly digest: string }[];
  /** Digest of the cache manifest that was exported. */
  readonly cacheDigest?: string;
  readonly call?: CallFacts;
}

/** How a job ended. `cancelled` also stands for a solve whose caller vanished. */
export type JobOutcome =
  | { readonly kind: "succeeded"; readonly facts: SolveFacts; readonly finishedAt: string }
  | { readonly kind: "failed"; readonly failure: SolveFailure; readonly finishedAt: string }
  | { readonly kind: "cancelled"; readonly finishedAt: string };

/** A job as `list` shows it. */
export interface JobInfo {
  readonly ref: string;
  readonly state: "running" | "finished";
  /** ISO time. */
  readonly startedAt: string;
  /** The offset that the next event will have. */
  readonly nextOffset: number;
}

/**
 * One entry of a job's event log. `gap` says that entries were dropped because the reader was late; the latest record of
 * every vertex follows it, with the offset of the last entry that is lost, so a fold over what is read always ends in
 * the truth.
 */
export type JobEvent =
  | { readonly kind: "solve"; readonly offset: number; readonly event: SolveEvent }
  | { readonly kind: "gap"; readonly offset: number; readonly dropped: number }
  | { readonly kind: "finished"; readonly offset: number; readonly outcome: JobOutcome };

/** What the daemon itself remembers of a ref that no agent knows. */
export type Recollection =
  | { readonly kind: "unknown" }
  | { readonly kind: "running" }
  | { readonly kind: "finished"; readonly outcome: JobOutcome };

/** Which ref to ask a daemon about. */
export interface RecallQuestion {
  readonly ref: string;
  /** Only the endpoint is used, and secret values to redact. */
  readonly materials: Sealed<Materials>;
  /** The frontend's `context` attribute, to tell the build's own source from others. */
  readonly context?: string;
}

/** Why a job has no outcome: whoever held it ended. Such an attempt does not count against a run's retries. */
export const attemptLost = "AttemptLost";

/** The owner of solves. Every method may be repeated. Those over a wire throw `KilnError` `Builder` `AgentUnreachable`. */
export interface Agent {
  /**
   * Starts the job, and returns before it ends. A ref that is known already is not started again. Throws `KilnError`
   * `Builder` `Draining` when no job is taken any more.
   */
  start(job: Job): Promise<void>;
  /** Every job that is running, or finished and not acknowledged. */
  list(): Promise<readonly JobInfo[]>;
  /**
   * The events of a job from an offset, then as they happen, ending with `finished`. A slow reader never holds up the
   * build: it gets a `gap`. Throws `JobUnknown` for a ref that is not in `list`.
   */
  attach(ref: string, fromEvent: number, signal: AbortSignal): AsyncIterable<JobEvent>;
  /** Asks a job to end; it then finishes as `cancelled` unless it was faster. An unknown ref is no error. */
  cancel(ref: string): Promise<void>;
  /** The outcome is safe elsewhere: the job may be forgotten. A job that still runs is kept. */
  acknowledge(ref: string): Promise<void>;
  /** Asks the daemon's history for a ref. Throws `KilnError` of class `Builder` when the daemon can't be asked. */
  recall(question: RecallQuestion, signal: AbortSignal): Promise<Recollection>;
}

/** `attach` was called with a ref that this agent does not have. */
export class JobUnknown extends Error {
  readonly ref: string;

  constructor(ref: string) {
    super(`no job ${ref}`);
    this.name = "JobUnknown";
    this.ref = ref;
  }
}
