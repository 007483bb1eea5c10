// The gateway of one build over its channel: each call names the build it belongs to.
import { grpcStatus } from "../errors/grpc-status.ts";
import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { setTimeout as pause } from "node:timers/promises";
import type { Status } from "../../gen/google/rpc/status_pb.ts";
import { LLBBridge } from "../../gen/moby/buildkit/v1/frontend/gateway_pb.ts";
import type { Definition, Worker } from "../client-types.ts";
import { guarded } from "../control/limits.ts";
import { workerOf } from "../control/workers.ts";
import { buildkitError } from "../errors/errors.ts";
import type { CallLimits, Channel } from "../rpc/channel.ts";
import {
  enabledCaps,
  gatewayFile,
  sourceMetaOf,
  wireGatewaySolve,
  wirePlatform,
  wireWarning,
  type WarningText,
} from "./bridge-wire.ts";
import type {
  Capabilities,
  Gateway,
  GatewayFile,
  GatewaySolve,
  ImageConfig,
  ResolveOptions,
  SourceMeta,
} from "./gateway.ts";
import { resultOfWire, wireResult, type GatewayRef, type GatewayResult } from "./result.ts";

/** The build that a bridge belongs to. */
export interface BridgeOptions {
  readonly ref: string;
  readonly sessionId: string;
  /** Aborts when the build is over. */
  readonly signal: AbortSignal;
  /** Of calls that run no steps. */
  readonly callTimeoutMs: number;
  /** Attributes that every frontend of the build is given unless it has them: its cache imports. */
  readonly sharedAttrs: Readonly<Record<string, string>>;
}

const pingPauseMs = 100;

/** Waits until the daemon knows the build (it does so some milliseconds after Solve came in), then opens its bridge. */
export async function openBridge(channel: Channel, options: BridgeOptions): Promise<Bridge> {
  const calls = new BridgeCalls(channel, options);
  const giveUpAt = performance.now() + options.callTimeoutMs;
  for (;;) {
    try {
      const pong = await calls.quick(LLBBridge.method.ping, {});
      const [gateway, llb] = [enabledCaps(pong.frontendApiCaps), enabledCaps(pong.llbCaps)];
      const capabilities = {
        gateway: (id: string) => gateway.has(id),
        llb: (id: string) => llb.has(id),
      };
      return new Bridge(calls, options, { capabilities, workers: pong.workers.map(workerOf) });
    } catch (error) {
      const unknownYet = buildkitError(error).grpcCode === grpcStatus.notFound;
      if (!unknownYet || options.signal.aborted || performance.now() > giveUpAt) throw error;
      await pause(pingPauseMs);
    }
  }
}

/** Calls that carry the id of their build. */
class BridgeCalls {
  readonly #channel: Channel;
  readonly #options: BridgeOptions;

  constructor(channel: Channel, options: BridgeOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  /** A call that runs no step. */
  quick<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const { signal, callTimeoutMs } = this.#options;
    return guarded({ what: "The build", signal, deadlineMs: callTimeoutMs }, (limits) =>
      this.#send(method, request, limits),
    );
  }

  /** A call that may run steps. */
  long<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const { signal } = this.#options;
    return guarded({ what: "The build", signal }, (limits) => this.#send(method, request, limits));
  }

  #send<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    limits: CallLimits,
  ): Promise<MessageShape<O>> {
    const headers = [["buildkit-controlapi-buildid", this.#options.ref]] as const;
    return this.#channel.unary(method, request, { ...limits, headers });
  }
}

/** An open bridge, with the call that ends the build; that one is not the callback's to make. */
export class Bridge implements Gateway {
  readonly ref: string;
  readonly sessionId: string;
  readonly signal: AbortSignal;
  readonly capabilities: Capabilities;
  readonly workers: readonly Worker[];
  readonly #calls: BridgeCalls;
  readonly #sharedAttrs: Readonly<Record<string, string>>;

  constructor(
    calls: BridgeCalls,
    options: BridgeOptions,
    pong: { readonly capabilities: Capabilities; readonly workers: readonly Worker[] },
  ) {
    this.#calls = calls;
    this.#sharedAttrs = options.sharedAttrs;
    this.ref = options.ref;
    this.sessionId = options.sessionId;
    this.signal = options.signal;
    this.capabilities = pong.capabilities;
    this.workers = pong.workers;
  }

  async solve(request: GatewaySolve): Promise<GatewayResult> {
    const frontendAttrs = { ...this.#sharedAttrs, ...request.frontendAttrs };
    const message = wireGatewaySolve({ ...request, frontendAttrs });
    const { result } = await this.#calls.long(LLBBridge.method.solve, message);
    return resultOfWire(result);
  }

  async readFile(
    { id: ref }: GatewayRef,
    filePath: string,
    range?: { readonly offset: number; readonly length: number },
  ): Promise<Buffer> {
    const part =
      range === undefined
        ? {}
        : { range: { offset: BigInt(range.offset), length: BigInt(range.length) } };
    const request = { ref, filePath, ...part };
    const { data } = await this.#calls.long(LLBBridge.method.readFile, request);
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  }

  async readDir(
    { id: ref }: GatewayRef,
    dirPath: string,
    includePattern = "",
  ): Promise<GatewayFile[]> {
    const request = { ref, dirPath, includePattern };
    const { entries } = await this.#calls.long(LLBBridge.method.readDir, request);
    return entries.map(gatewayFile);
  }

  async statFile({ id: ref }: GatewayRef, path: string): Promise<GatewayFile> {
    const { stat } = await this.#calls.long(LLBBridge.method.statFile, { ref, path });
    if (stat === undefined) throw buildkitError(new Error(`the daemon says nothing of ${path}`));
    return gatewayFile(stat);
  }

  async evaluate({ id: ref }: GatewayRef): Promise<void> {
    await this.#calls.long(LLBBridge.method.evaluate, { ref });
  }

  async warn(vertexDigest: string, warning: WarningText): Promise<void> {
    await this.#calls.quick(LLBBridge.method.warn, wireWarning(vertexDigest, warning));
  }

  async resolveImageConfig(image: string, options: ResolveOptions = {}): Promise<ImageConfig> {
    const platform = wirePlatform(options.platform);
    const store = options.ociStore;
    const { ref, digest, config } = await this.#calls.long(LLBBridge.method.resolveImageConfig, {
      ref: image,
      resolveMode: options.mode ?? "default",
      logName: options.logName ?? "",
      ...(platform === undefined ? {} : { platform }),
      ...(store === undefined
        ? {}
        : { resolverType: 1, sessionId: this.sessionId, storeId: store }),
    });
    return { ref: ref === "" ? image : ref, digest, config: Buffer.from(config) };
  }

  async resolveSourceMeta(
    source: { readonly identifier: string; readonly attrs?: Readonly<Record<string, string>> },
    options: Pick<ResolveOptions, "platform" | "mode" | "logName" | "commitObject"> = {},
  ): Promise<SourceMeta> {
    const platform = wirePlatform(options.platform);
    const response = await this.#calls.long(LLBBridge.method.resolveSourceMeta, {
      source: { identifier: source.identifier, attrs: { ...source.attrs } },
      resolveMode: options.mode ?? "default",
      logName: options.logName ?? "",
      ...(platform === undefined ? {} : { platform }),
      ...(options.commitObject === true ? { git: { returnObject: true } } : {}),
    });
    return sourceMetaOf(response);
  }

  async inputs(): Promise<Record<string, Definition>> {
    const { definitions } = await this.#calls.quick(LLBBridge.method.inputs, {});
    return { ...definitions };
  }

  /** Hands back what the build is to make, or why it makes nothing. The outer Solve ends with it. */
  async finish(
    end:
      | { readonly result: GatewayResult }
      | { readonly error: Pick<Status, "code" | "message" | "details"> },
  ): Promise<void> {
    const request = "result" in end ? { result: wireResult(end.result) } : { error: end.error };
    await this.#calls.quick(LLBBridge.method.return, request);
  }
}
