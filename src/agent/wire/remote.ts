// An agent beside its daemon, as the controller sees it: the `Agent` interface over the wire. A broken connection is
// dialled anew, and a reader goes on with the event after the last one that it saw.

import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import {
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { DaemonInfo, Endpoint, Worker } from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import {
  Agent as Service,
  type JobEvent as WireEvent,
  JobEventSchema,
} from "../../gen/kiln/agent/v1/agent_pb.ts";
import {
  type Agent,
  type Job,
  type JobEvent,
  type JobInfo,
  JobUnknown,
  type RecallQuestion,
  type Recollection,
} from "../agent.ts";
import { fromWire } from "./events.ts";
import { jobToWire } from "./jobs.ts";
import { encode } from "./service.ts";

type AgentEndpoint = Extract<Endpoint, { kind: "tcp" }>;

/** What a daemon and the agent beside it say about themselves. */
export interface AgentInfo extends DaemonInfo {
  readonly workers: readonly Worker[];
  readonly draining: boolean;
}

/** How busy an agent is, and how full its disk. */
export interface AgentUsage {
  readonly running: number;
  /** Ended and not acknowledged. */
  readonly finished: number;
  readonly draining: boolean;
  /** Bytes; 0 when not known. */
  readonly volumeBytes: number;
  readonly volumeFreeBytes: number;
  readonly logBytes: number;
  /** Of the daemon's cache. */
  readonly cacheBytes: number;
}

/** What a `RemoteAgent` may be told. */
export interface RemoteAgentOptions {
  /** A reader gives up when the agent did not answer for this long, in milliseconds. Default 10,000. */
  readonly patienceMs?: number;
}

const callMs = 15_000;
/** A prune removes what may be many gigabytes of files. */
const pruneMs = 10 * 60_000;
const maxMessageBytes = 64 * 1024 * 1024;
const firstRetryMs = 100;
const longestRetryMs = 2_000;

/** An `Agent` at an address. */
export class RemoteAgent implements Agent {
  readonly #patienceMs: number;
  #endpoint: AgentEndpoint;
  #client: Client | undefined;

  /** Nothing is dialled yet. */
  constructor(endpoint: AgentEndpoint, o: RemoteAgentOptions = {}) {
    this.#endpoint = endpoint;
    this.#patienceMs = o.patienceMs ?? 10_000;
  }

  /** The same agent with other TLS material: new calls take it, calls in flight go on. */
  renew(endpoint: AgentEndpoint): void {
    if (materialOf(endpoint) === materialOf(this.#endpoint)) return;
    this.#endpoint = endpoint;
    this.close();
  }

  async start(job: Job): Promise<void> {
    await this.#call(Service.method.start, jobToWire(job));
  }

  async list(): Promise<readonly JobInfo[]> {
    const { jobs } = await this.#call(Service.method.list, {});
    return jobs.map(({ ref, finished, startedAt, nextOffset }) => ({
      ref,
      state: finished ? "finished" : "running",
      startedAt: startedAt === undefined ? "" : timestampDate(startedAt).toISOString(),
      nextOffset: Number(nextOffset),
    }));
  }

  async *attach(ref: string, fromEvent: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const place = new ReadingPlace(fromEvent);
    let heardMs = Date.now();
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        for await (const event of this.#events(ref, place.next, signal)) {
          failures = 0;
          heardMs = Date.now();
          place.read(event);
          yield event;
          if (event.kind === "finished") return;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (codeOf(error) === status.NOT_FOUND) throw new JobUnknown(ref);
        if (Date.now() - heardMs > this.#patienceMs) throw unreachable(error);
      }
      const waitMs = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(failures, 10));
      await pause(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async cancel(ref: string): Promise<void> {
    await this.#call(Service.method.cancel, { ref });
  }

  async acknowledge(ref: string): Promise<void> {
    await this.#call(Service.method.acknowledge, { ref });
  }

  async recall({ ref, context }: RecallQuestion, signal: AbortSignal): Promise<Recollection> {
    const question = { ref, context: context ?? "" };
    const { recollection } = await this.#call(Service.method.recall, question, signal);
    return JSON.parse(recollection) as Recollection;
  }

  /** Tells the agent to take no new job. The refs that still run. */
  async drain(signal?: AbortSignal): Promise<readonly string[]> {
    return (await this.#call(Service.method.drain, {}, signal)).running;
  }

  /** Ends its running jobs as lost. The refs. */
  async cut(signal?: AbortSignal): Promise<readonly string[]> {
    return (await this.#call(Service.method.cut, {}, signal)).cut;
  }

  /** Makes room on the daemon's disk; see `DiskGauge.prune`. Bytes that were freed. */
  async prune(minFreeBytes: number, signal?: AbortSignal): Promise<number> {
    const request = { minFreeBytes: BigInt(minFreeBytes) };
    const { freedBytes } = await this.#call(Service.method.prune, request, signal, pruneMs);
    return Number(freedBytes);
  }

  /** How busy it is, and how full. Throws `KilnError` when the agent or the daemon does not answer. */
  async usage(signal?: AbortSignal): Promise<AgentUsage> {
    const { running, finished, draining, ...bytes } = await this.#call(
      Service.method.usage,
      {},
      signal,
    );
    return {
      running,
      finished,
      draining,
      volumeBytes: Number(bytes.volumeBytes),
      volumeFreeBytes: Number(bytes.volumeFreeBytes),
      logBytes: Number(bytes.logBytes),
      cacheBytes: Number(bytes.cacheBytes),
    };
  }

  /** What the daemon says. Throws `KilnError` when the agent or the daemon does not answer. */
  async info(signal?: AbortSignal): Promise<AgentInfo> {
    const { version, revision, workers, draining } = await this.#call(
      Service.method.info,
      {},
      signal,
    );
    return {
      version,
      ...(revision === "" ? {} : { revision }),
      workers: workers.map((text) => JSON.parse(text) as Worker),
      draining,
    };
  }

  /** Ends the connection once calls in flight are over. It may be used again. */
  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  #dialled(): Client {
    try {
      this.#client ??= clientOf(this.#endpoint);
      return this.#client;
    } catch (cause) {
      // grpc-js throws for PEM that is none.
      throw unreachable(cause);
    }
  }

  async #call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal?: AbortSignal,
    limitMs: number = callMs,
  ): Promise<MessageShape<O>> {
    return await new Promise((resolve, reject) => {
      const cancel = (): void => call.cancel();
      const call = this.#dialled().makeUnaryRequest(
        pathOf(method.name),
        (message: MessageInitShape<I>) => encode(method.input, message),
        (bytes) => fromBinary(method.output, bytes),
        request,
        new Metadata(),
        { deadline: Date.now() + limitMs },
        (error, answer) => {
          signal?.removeEventListener("abort", cancel);
          if (error !== null) reject(errorOf(error));
          else if (answer === undefined) reject(unreachable(new Error("no answer")));
          else resolve(answer);
        },
      );
      if (signal?.aborted === true) cancel();
      else signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  async *#events(ref: string, from: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const call: ClientReadableStream<WireEvent> = this.#dialled().makeServerStreamRequest(
      pathOf(Service.method.attach.name),
      (message: { ref: string; fromOffset: bigint }) =>
        encode(Service.method.attach.input, message),
      (bytes) => fromBinary(JobEventSchema, bytes),
      { ref, fromOffset: BigInt(from) },
    );
    const cancel = (): void => call.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    call.on("error", () => {}); // the loop sees it; a late one must not end the process
    try {
      for await (const message of call) {
        const event = fromWire(message as WireEvent);
        if (event !== undefined) yield event;
      }
    } finally {
      signal.removeEventListener("abort", cancel);
      call.cancel();
    }
  }
}

/** Where a reader goes on. A gap is behind it only with the first event after it: until then, vertices are repeated. */
class ReadingPlace {
  next: number;
  #gapEnd = 0;

  constructor(next: number) {
    this.next = next;
  }

  read(event: JobEvent): void {
    if (event.kind === "gap") this.#gapEnd = event.offset + event.dropped;
    else if (event.offset >= Math.max(this.next, this.#gapEnd)) this.next = event.offset + 1;
  }
}

function pathOf(method: string): string {
  return `/${Service.typeName}/${method}`;
}

function clientOf({ host, port, tls }: AgentEndpoint): Client {
  if (tls?.cert === undefined || tls.key === undefined)
    throw new TypeError("an agent is reached with a client certificate only");
  const name = tls.serverName ?? host;
  const bytes = (pem: string | Buffer): Buffer => Buffer.from(pem);
  return new Client(
    host.includes(":")
      ? `ipv6:[${host}]:${port}`
      : `${/^[\d.]+$/.test(host) ? "ipv4" : "dns"}:${host}:${port}`,
    credentials.createSsl(bytes(tls.ca), bytes(tls.key), bytes(tls.cert)),
    {
      "grpc.ssl_target_name_override": name,
      "grpc.default_authority": name,
      "grpc.max_receive_message_length": maxMessageBytes,
      "grpc.max_send_message_length": maxMessageBytes,
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 10_000,
      "grpc.keepalive_permit_without_calls": 0,
      "grpc.enable_http_proxy": 0,
      "grpc.service_config_disable_resolution": 1,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 2_000,
      "grpc-node.flow_control_window": 1024 * 1024,
    },
  );
}

/** Tells whether two ways to reach the same agent differ. */
function materialOf({ host, port, tls }: AgentEndpoint): string {
  const hash = createHash("sha256");
  for (const part of [tls?.ca, tls?.cert, tls?.key, tls?.serverName, host, String(port)])
    hash.update(part ?? "").update("\0");
  return hash.digest("hex");
}

function codeOf(error: unknown): number | undefined {
  return (error as Partial<ServiceError>).code;
}

interface Told {
  readonly class: KilnError["class"];
  readonly reason: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** What the agent said as `KilnError` is one here too. */
function errorOf(error: ServiceError): KilnError {
  if (error.code !== status.FAILED_PRECONDITION) return unreachable(error);
  try {
    return new KilnError(JSON.parse(error.details) as Told);
  } catch {
    return unreachable(error);
  }
}

function unreachable(cause: unknown): KilnError {
  return new KilnError({
    class: "Builder",
    reason: "AgentUnreachable",
    message: `The agent beside the builder does not answer: ${detailsOf(cause)}.`,
    retryable: true,
    cause,
  });
}

function detailsOf(cause: unknown): string {
  const { details, message } = cause as Partial<ServiceError>;
  return (details ?? message ?? String(cause)).replace(/[.\s]+$/, "");
}
