// Generated protobuf services over a grpc-js client: paths and codecs, deadlines and AbortSignals.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import {
  Metadata,
  type CallOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
} from "@grpc/grpc-js";

/** How long a call may take, and who may end it earlier. */
export interface CallLimits {
  readonly signal: AbortSignal;
  /** None: as long as the signal lets it. */
  readonly deadlineMs?: number;
}

/** "/package.Service/Method". */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function encoder<I extends DescMessage>(schema: I): (message: MessageInitShape<I>) => Buffer {
  return (message) => {
    const bytes = toBinary(schema, create(schema, message));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function decoder<O extends DescMessage>(schema: O): (bytes: Buffer) => MessageShape<O> {
  return (bytes) => fromBinary(schema, bytes);
}

function options(limits: CallLimits): CallOptions {
  return limits.deadlineMs === undefined ? {} : { deadline: Date.now() + limits.deadlineMs };
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

/** One message each way. Rejects with grpc-js's ServiceError; code 1 when the signal aborts. */
export function unary<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  limits: CallLimits,
): Promise<MessageShape<O>> {
  return new Promise((resolve, reject) => {
    const call = client.makeUnaryRequest(
      methodPath(method),
      encoder(method.input),
      decoder(method.output),
      request,
      new Metadata(),
      options(limits),
      (error, response) => {
        stop();
        if (error !== null) reject(error);
        else if (response === undefined) reject(new Error("the call ended without an answer"));
        else resolve(response);
      },
    );
    const stop = onAbort(limits.signal, () => call.cancel());
  });
}

/** One request, many answers. Leaving the loop cancels the call; ends or throws as `unary`. */
export async function* serverStream<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodServerStreaming<I, O>,
  request: MessageInitShape<I>,
  limits: CallLimits,
): AsyncGenerator<MessageShape<O>, void, undefined> {
  const call: ClientReadableStream<MessageShape<O>> = client.makeServerStreamRequest(
    methodPath(method),
    encoder(method.input),
    decoder(method.output),
    request,
    new Metadata(),
    options(limits),
  );
  const stop = onAbort(limits.signal, () => call.cancel());
  call.on("error", () => {}); // the loop below sees it; a late one after leaving it must not crash us
  try {
    for await (const message of call) yield message as MessageShape<O>;
  } finally {
    stop();
    call.cancel();
  }
}

/** Many messages both ways; the caller owns the call. A header with several values is repeated. */
export function bidi<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodBiDiStreaming<I, O>,
  headers: readonly (readonly [name: string, value: string])[],
): ClientDuplexStream<MessageInitShape<I>, MessageShape<O>> {
  const metadata = new Metadata();
  for (const [name, value] of headers) metadata.add(name, value);
  return client.makeBidiStreamRequest(
    methodPath(method),
    encoder(method.input),
    decoder(method.output),
    metadata,
  );
}
