// The agent's side of the protocol: each call is one call of the agent in this process. Holds no state of its own.

import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type sendUnaryData,
  Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Logger } from "pino";
import type { BuildkitClient, Endpoint } from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import { Agent, type AttachRequest } from "../../gen/kiln/agent/v1/agent_pb.ts";
import { type JobInfo, JobUnknown } from "../agent.ts";
import type { InProcessAgent } from "../in-process.ts";
import type { Journal } from "../journal/journal.ts";
import { toWire, type WireEventInit } from "./events.ts";
import { jobFromWire, noMaterials } from "./jobs.ts";
import { definitionOf } from "./service.ts";
import { DiskGauge } from "./usage.ts";

/** What is served. */
export interface AgentServerOptions {
  readonly agent: InProcessAgent;
  /** Of the daemon beside the agent. */
  readonly endpoint: Endpoint;
  /** For questions about the daemon. */
  readonly client: Pick<BuildkitClient, "info" | "workers" | "diskUsage" | "prune">;
  readonly journal: Journal;
  readonly log: Logger;
  /** Folder on the volume with the daemon's state; undefined: not reported. */
  readonly volume: string | undefined;
  readonly version: string;
}

/** A job with the files of its context may be large. */
const maxMessageBytes = 64 * 1024 * 1024;
/** So that nobody goes on for ever with a certificate that is not good any more; readers resume where they were. */
const maxConnectionMs = 60 * 60_000;
const refPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

type Methods = typeof Agent.method;
type UnaryName = Exclude<keyof Methods, "attach">;
type Unary = {
  readonly [M in UnaryName]: (
    request: MessageShape<Methods[M]["input"]>,
    signal: AbortSignal,
  ) => Promise<MessageInitShape<Methods[M]["output"]>>;
};

/** A grpc-js server with the agent's service; whoever listens injects connections. */
export function agentServer(o: AgentServerOptions): Server {
  const server = new Server({
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
    "grpc.max_connection_age_ms": maxConnectionMs,
    "grpc.max_connection_age_grace_ms": 10_000,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 20_000,
  });
  const unary = Object.entries(handlers(o)).map(([name, handle]) => [
    name,
    answering(handle as AnyHandler, o.log.child({ rpc: name })),
  ]);
  const implementation = Object.fromEntries(unary) as UntypedServiceImplementation;
  server.addService(definitionOf(Agent), {
    ...implementation,
    attach: (call: ServerWritableStream<AttachRequest, WireEventInit>) => void attach(call, o),
  });
  return server;
}

function handlers(o: AgentServerOptions): Unary {
  const { agent } = o;
  const gauge = new DiskGauge({ client: o.client, volume: o.volume, now: () => Date.now() });
  return {
    start: async (request) => {
      if (!refPattern.test(request.ref)) throw new BadRequest("the ref is not one of Kiln's");
      await agent.start(jobFromWire(request, o.endpoint));
      return {};
    },
    list: async () => ({ jobs: (await agent.list()).map(wireJob) }),
    cancel: async ({ ref }) => {
      await agent.cancel(ref);
      return {};
    },
    acknowledge: async ({ ref }) => {
      await agent.acknowledge(ref);
      return {};
    },
    recall: async ({ ref, context }, signal) => {
      const question = { ref, materials: noMaterials(o.endpoint), ...(context && { context }) };
      return { recollection: JSON.stringify(await agent.recall(question, signal)) };
    },
    drain: async () => ({ running: [...agent.drain()] }),
    cut: async () => ({ cut: [...agent.cut()] }),
    usage: async (_, signal) => await usage(o, gauge, signal),
    prune: async ({ minFreeBytes }, signal) => ({
      freedBytes: BigInt(await gauge.prune(Number(minFreeBytes), signal)),
    }),
    info: async (_, signal) => {
      const [info, workers] = await Promise.all([o.client.info(signal), o.client.workers(signal)]);
      return {
        version: info.version,
        revision: info.revision ?? "",
        workers: workers.map((worker) => JSON.stringify(worker)),
        agentVersion: o.version,
        draining: agent.draining,
      };
    },
  };
}

async function usage(
  { agent, journal }: AgentServerOptions,
  gauge: DiskGauge,
  signal: AbortSignal,
) {
  const [jobs, volume, cache] = await Promise.all([
    agent.list(),
    gauge.volume(),
    gauge.cacheBytes(signal),
  ]);
  const running = jobs.filter(({ state }) => state === "running").length;
  return {
    running,
    finished: jobs.length - running,
    draining: agent.draining,
    volumeBytes: volume.bytes,
    volumeFreeBytes: volume.free,
    logBytes: BigInt(journal.bytes),
    cacheBytes: BigInt(cache),
  };
}

function wireJob({ ref, state, startedAt, nextOffset }: JobInfo) {
  return {
    ref,
    finished: state === "finished",
    startedAt: timestampFromDate(new Date(startedAt)),
    nextOffset: BigInt(nextOffset),
  };
}

type AnyHandler = (request: unknown, signal: AbortSignal) => Promise<object>;

function answering(handle: AnyHandler, log: Logger) {
  return (call: ServerUnaryCall<unknown, object>, reply: sendUnaryData<object>): void => {
    const ended = new AbortController();
    call.on("cancelled", () => ended.abort(new Error("the caller went away")));
    handle(call.request, ended.signal).then(
      (answer) => reply(null, answer),
      (error: unknown) => {
        const failure = failureOf(error);
        log.debug({ code: failure.code, err: error }, "call failed");
        reply(failure);
      },
    );
  };
}

/** Pulls events as the reader takes them: one that is slow gets gaps, and holds up nobody. */
async function attach(
  call: ServerWritableStream<AttachRequest, WireEventInit>,
  { agent, log }: AgentServerOptions,
): Promise<void> {
  const { ref, fromOffset } = call.request;
  const ended = new AbortController();
  const end = (): void => ended.abort();
  for (const event of ["cancelled", "close", "error"]) call.on(event, end);
  try {
    for await (const event of agent.attach(ref, Number(fromOffset), ended.signal)) {
      if (!call.write(toWire(event))) await drained(call, ended.signal);
    }
    call.end();
  } catch (error) {
    if (!(error instanceof JobUnknown)) log.warn({ err: error, ref }, "reading a job failed");
    call.emit("error", failureOf(error));
  }
}

async function drained(
  call: ServerWritableStream<AttachRequest, WireEventInit>,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      call.off("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    call.on("drain", done);
    signal.addEventListener("abort", done, { once: true });
  });
}

class BadRequest extends Error {}

/** What the caller is told. The text of an unexpected error may hold anything, so it stays here. */
function failureOf(error: unknown): { code: status; details: string } {
  if (error instanceof JobUnknown) return { code: status.NOT_FOUND, details: error.message };
  if (error instanceof BadRequest) return { code: status.INVALID_ARGUMENT, details: error.message };
  if (error instanceof KilnError) {
    const { class: of, reason, message, retryable } = error;
    const details = JSON.stringify({ class: of, reason, message, retryable });
    return { code: status.FAILED_PRECONDITION, details };
  }
  return { code: status.INTERNAL, details: "the agent failed" };
}
