// Calls of generated services to one daemon, whatever carries them: the port that the rest of this folder calls through.
import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

/** Header names and values of a call; a repeated name keeps its values apart and in order. */
export type CallHeaders = readonly (readonly [name: string, value: string])[];

/** How long a call may take, who may end it earlier, and what it says beside its message. */
export interface CallLimits {
  readonly signal: AbortSignal;
  /** None: as long as the signal lets it. */
  readonly deadlineMs?: number;
  readonly headers?: CallHeaders;
}

/** A failed call: the gRPC status it ended with. Every Channel rejects with an error of this shape. */
export interface FailedCall {
  readonly code: number;
  readonly details: string;
  readonly metadata?: { get(key: string): readonly (string | Buffer)[] };
}

/** A call with many messages both ways; its owner ends it. */
export interface BidiCall<I, O> {
  /** Sends one. Undefined: go on; a promise: wait for it, the daemon reads slower than we write. */
  send(message: I): Promise<void> | undefined;
  /** Half-closes. */
  end(): void;
  cancel(): void;
  /** What the daemon sends. Ends with status OK, or throws a FailedCall. Leaving the loop cancels the call. */
  readonly messages: AsyncIterable<O>;
}

/** A lazy connection to one daemon. Nothing is dialled before the first call, and a broken connection is dialled anew. */
export interface Channel {
  /** One message each way. Rejects with a FailedCall; code 1 when the signal aborts. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    limits: CallLimits,
  ): Promise<MessageShape<O>>;
  /** One request, many answers. Leaving the loop cancels the call; ends or throws as `unary`. */
  serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    limits: CallLimits,
  ): AsyncGenerator<MessageShape<O>, void, undefined>;
  /** Many messages both ways; the caller owns the call. */
  bidi<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    headers: CallHeaders,
  ): BidiCall<MessageInitShape<I>, MessageShape<O>>;
  /** Calls in flight end; nothing can be called any more. */
  close(): void;
}

/** "/package.Service/Method". */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Cancels on abort, at once when it is aborted already; the returned function ends the watch. */
export function onAbort(signal: AbortSignal, cancel: () => void): () => void {
  if (signal.aborted) {
    cancel();
    return () => {};
  }
  signal.addEventListener("abort", cancel, { once: true });
  return () => signal.removeEventListener("abort", cancel);
}
