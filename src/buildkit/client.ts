// The calls to one buildkitd: info, workers, history and its blobs on a shared connection, solves on their own.
import { Content } from "../gen/containerd/services/content/v1/content_pb.ts";
import { Control, type BuildHistoryRecord } from "../gen/moby/buildkit/v1/control_pb.ts";
import type {
  BuildkitClient,
  DaemonInfo,
  HistoryRecord,
  SolveOptions,
  SolveRequest,
  SolveResult,
  Worker,
} from "./client-types.ts";
import { dial } from "./rpc/dial.ts";
import type { Endpoint } from "./rpc/endpoint.ts";
import { buildkitError, BuildkitError, cancelled } from "./errors/errors.ts";
import type { CallLimits, Channel } from "./rpc/channel.ts";
import { historyRecordOf } from "./control/history.ts";
import { solve } from "./solve.ts";
import { versionText, workerOf } from "./control/workers.ts";

/** How a client behaves. */
export interface ConnectOptions {
  /** Deadline of each call but solve. Default: 15 s. */
  readonly callTimeoutMs?: number;
}

const defaultCallTimeoutMs = 15_000;
const maxBlobBytes = 16 * 1024 * 1024;
const eventDeleted = 2;

/** A client of one buildkitd. Dials nothing yet; throws BuildkitError Builder/TlsInvalid for unusable PEM. */
export function connect(endpoint: Endpoint, options: ConnectOptions = {}): BuildkitClient {
  return new Connection(endpoint, options.callTimeoutMs ?? defaultCallTimeoutMs);
}

class Connection implements BuildkitClient {
  readonly #endpoint: Endpoint;
  readonly #channel: Channel;
  readonly #timeoutMs: number;

  constructor(endpoint: Endpoint, timeoutMs: number) {
    this.#endpoint = endpoint;
    this.#channel = dial(endpoint);
    this.#timeoutMs = timeoutMs;
  }

  async info(signal: AbortSignal): Promise<DaemonInfo> {
    return this.#call("The call", signal, async (limits) => {
      const { buildkitVersion } = await this.#channel.unary(Control.method.info, {}, limits);
      const revision = buildkitVersion?.revision ?? "";
      const version = versionText(buildkitVersion?.version);
      return revision === "" ? { version } : { version, revision };
    });
  }

  async workers(signal: AbortSignal): Promise<Worker[]> {
    return this.#call("The call", signal, async (limits) => {
      const { record } = await this.#channel.unary(Control.method.listWorkers, {}, limits);
      return record.map(workerOf);
    });
  }

  async solve(request: SolveRequest, options: SolveOptions): Promise<SolveResult> {
    return solve(this.#endpoint, request, options);
  }

  async history(ref: string, signal: AbortSignal): Promise<HistoryRecord | undefined> {
    return this.#call("The look-up", signal, async (limits) => {
      const record = await this.#record(ref, limits);
      if (record === undefined) return undefined;
      const blob = record.externalError;
      return historyRecordOf(
        record,
        blob === undefined ? undefined : await this.#read(blob.digest, limits),
      );
    });
  }

  async forget(ref: string, signal: AbortSignal): Promise<void> {
    return this.#call("The call", signal, async (limits) => {
      if ((await this.#record(ref, limits)) === undefined) return;
      await this.#channel.unary(Control.method.updateBuildHistory, { ref, delete: true }, limits);
    });
  }

  async readBlob(digest: string, signal: AbortSignal): Promise<Buffer> {
    return this.#call("The read", signal, (limits) => this.#read(digest, limits));
  }

  close(): void {
    this.#channel.close();
  }

  /** Records repeat as a build goes on; the last one holds. Not there is no error, whatever the daemon says. */
  async #record(ref: string, limits: CallLimits): Promise<BuildHistoryRecord | undefined> {
    let found: BuildHistoryRecord | undefined;
    try {
      const events = this.#channel.serverStream(
        Control.method.listenBuildHistory,
        { ref, earlyExit: true },
        limits,
      );
      for await (const { type, record } of events) {
        if (record?.ref === ref) found = type === eventDeleted ? undefined : record;
      }
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
    return found;
  }

  async #read(digest: string, limits: CallLimits): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const { data } of this.#channel.serverStream(
      Content.method.read,
      { digest },
      limits,
    )) {
      size += data.length;
      if (size > maxBlobBytes)
        throw new Error(`blob ${digest} is larger than ${maxBlobBytes} bytes`);
      chunks.push(data);
    }
    return Buffer.concat(chunks);
  }

  async #call<T>(
    what: string,
    signal: AbortSignal,
    work: (limits: CallLimits) => Promise<T>,
  ): Promise<T> {
    try {
      return await work({ signal, deadlineMs: this.#timeoutMs });
    } catch (error) {
      if (signal.aborted) throw cancelled(what, signal.reason);
      throw buildkitError(error);
    }
  }
}

function isNotFound(error: unknown): boolean {
  const failure: BuildkitError = buildkitError(error);
  return failure.grpcCode === 5 || /not found|is deleted/.test(failure.message);
}
