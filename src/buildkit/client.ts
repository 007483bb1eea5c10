// The calls to one buildkitd: ordinary ones on a shared connection, solves on their own.
import { Control } from "../gen/moby/buildkit/v1/control_pb.ts";
import type {
  BuildkitClient,
  DaemonInfo,
  HistoryEvent,
  HistoryOptions,
  HistoryRecord,
  SolveOptions,
  SolveRequest,
  SolveResult,
  Worker,
} from "./client-types.ts";
import { dial } from "./rpc/dial.ts";
import type { Endpoint } from "./rpc/endpoint.ts";
import { cancelled, buildkitError } from "./errors/errors.ts";
import type { CallLimits, Channel } from "./rpc/channel.ts";
import { blobChunks, blobInfo, wholeBlob, type BlobInfo, type BlobRange } from "./control/blobs.ts";
import {
  cacheRecordOf,
  wireDiskUsage,
  wirePrune,
  type CacheRecord,
  type DiskUsageOptions,
  type PruneOptions,
} from "./control/disk.ts";
import { followRef } from "./control/follow.ts";
import { guarded, guardedStream, type Guard } from "./control/limits.ts";
import { forgetRecord, listRecords, oneRecord, watchRecords } from "./control/listen.ts";
import { versionText, workerOf } from "./control/workers.ts";
import { build, type BuildCallback, type BuildRequest } from "./gateway/build.ts";
import { solve } from "./solve.ts";

/** How a client behaves. */
export interface ConnectOptions {
  /**
   * Deadline of each call but solve and build; of a stream that lasts (follow, watchHistory): how long a broken
   * connection may stay broken. Default: 15 s.
   */
  readonly callTimeoutMs?: number;
  /** The longest silence between two messages of a prune or a blob. Default: 60 s. */
  readonly streamTimeoutMs?: number;
}

const defaultCallTimeoutMs = 15_000;
const defaultStreamTimeoutMs = 60_000;

/** A client of one buildkitd. Dials nothing yet; throws BuildkitError Builder/TlsInvalid for unusable PEM. */
export function connect(endpoint: Endpoint, options: ConnectOptions = {}): BuildkitClient {
  return new Connection(endpoint, options);
}

class Connection implements BuildkitClient {
  readonly #endpoint: Endpoint;
  readonly #channel: Channel;
  readonly #callMs: number;
  readonly #streamMs: number;

  constructor(endpoint: Endpoint, options: ConnectOptions) {
    this.#endpoint = endpoint;
    this.#channel = dial(endpoint);
    this.#callMs = options.callTimeoutMs ?? defaultCallTimeoutMs;
    this.#streamMs = options.streamTimeoutMs ?? defaultStreamTimeoutMs;
  }

  async info(signal: AbortSignal): Promise<DaemonInfo> {
    return this.#call("The call", signal, async (limits) => {
      const { buildkitVersion } = await this.#channel.unary(Control.method.info, {}, limits);
      const revision = buildkitVersion?.revision ?? "";
      const version = versionText(buildkitVersion?.version);
      return revision === "" ? { version } : { version, revision };
    });
  }

  async workers(signal: AbortSignal, filters: readonly string[] = []): Promise<Worker[]> {
    return this.#call("The call", signal, async (limits) => {
      const request = { filter: [...filters] };
      const { record } = await this.#channel.unary(Control.method.listWorkers, request, limits);
      return record.map(workerOf);
    });
  }

  async solve(request: SolveRequest, options: SolveOptions): Promise<SolveResult> {
    return solve(this.#endpoint, request, options);
  }

  async build(
    request: BuildRequest,
    options: SolveOptions,
    run: BuildCallback,
  ): Promise<SolveResult> {
    return build(this.#endpoint, { request, callTimeoutMs: this.#callMs, run }, options);
  }

  async follow(ref: string, options: Pick<SolveOptions, "onEvent" | "signal">): Promise<void> {
    const { signal } = options;
    try {
      await followRef(this.#channel, ref, {
        signal,
        deadlineMs: this.#callMs,
        onEvent: (event) => options.onEvent(event),
      });
    } catch (error) {
      throw signal.aborted ? cancelled("Following the build", signal.reason) : buildkitError(error);
    }
  }

  async diskUsage(signal: AbortSignal, options: DiskUsageOptions = {}): Promise<CacheRecord[]> {
    return this.#call("The call", signal, async (limits) => {
      const request = wireDiskUsage(options);
      const { record } = await this.#channel.unary(Control.method.diskUsage, request, limits);
      return record.map(cacheRecordOf).sort((a, b) => a.size - b.size || (a.id < b.id ? -1 : 1));
    });
  }

  async *prune(
    signal: AbortSignal,
    options: PruneOptions = {},
  ): AsyncGenerator<CacheRecord, void, undefined> {
    const removed = guardedStream(this.#stream("The prune", signal), (limits) =>
      this.#channel.serverStream(Control.method.prune, wirePrune(options), limits),
    );
    for await (const record of removed) yield cacheRecordOf(record);
  }

  async history(ref: string, signal: AbortSignal): Promise<HistoryRecord | undefined> {
    return this.#call("The look-up", signal, (limits) => oneRecord(this.#channel, ref, limits));
  }

  async histories(signal: AbortSignal, options: HistoryOptions = {}): Promise<HistoryRecord[]> {
    return this.#call("The look-up", signal, (limits) =>
      listRecords(this.#channel, options, limits),
    );
  }

  async *watchHistory(
    signal: AbortSignal,
    options: Pick<HistoryOptions, "activeOnly"> & { readonly ref?: string } = {},
  ): AsyncGenerator<HistoryEvent, void, undefined> {
    try {
      yield* watchRecords(this.#channel, options, { signal, deadlineMs: this.#callMs });
    } catch (error) {
      if (!signal.aborted) throw buildkitError(error);
    }
  }

  async pin(ref: string, pinned: boolean, signal: AbortSignal): Promise<void> {
    await this.#update({ ref, pinned }, signal);
  }

  async finalize(ref: string, signal: AbortSignal): Promise<void> {
    await this.#update({ ref, finalize: true }, signal);
  }

  async forget(ref: string, signal: AbortSignal): Promise<void> {
    return this.#call("The call", signal, (limits) => forgetRecord(this.#channel, ref, limits));
  }

  async readBlob(digest: string, signal: AbortSignal, range: BlobRange = {}): Promise<Buffer> {
    return this.#call("The read", signal, (limits) =>
      wholeBlob(this.#channel, { ...range, digest }, limits),
    );
  }

  streamBlob(
    digest: string,
    signal: AbortSignal,
    range: BlobRange = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    return guardedStream(this.#stream("The read", signal), (limits) =>
      blobChunks(this.#channel, { ...range, digest }, limits),
    );
  }

  async blobInfo(digest: string, signal: AbortSignal): Promise<BlobInfo> {
    return this.#call("The call", signal, (limits) => blobInfo(this.#channel, digest, limits));
  }

  close(): void {
    this.#channel.close();
  }

  async #update(
    request: { readonly ref: string; readonly pinned?: boolean; readonly finalize?: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#call("The call", signal, (limits) =>
      this.#channel.unary(Control.method.updateBuildHistory, request, limits),
    );
  }

  #stream(what: string, signal: AbortSignal): Guard {
    return { what, signal, deadlineMs: this.#streamMs };
  }

  #call<T>(
    what: string,
    signal: AbortSignal,
    work: (limits: CallLimits) => Promise<T>,
  ): Promise<T> {
    return guarded({ what, signal, deadlineMs: this.#callMs }, work);
  }
}
