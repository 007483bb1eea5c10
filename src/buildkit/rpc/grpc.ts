// A Channel over a grpc-js client: generated services as paths and codecs, deadlines and AbortSignals.
import type { Writable } from "node:stream";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type {
  DescMessage,
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
import {
  methodPath,
  onAbort,
  type BidiCall,
  type CallHeaders,
  type CallLimits,
  type Channel,
} from "./channel.ts";

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

function metadataOf(headers: CallHeaders = []): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of headers) metadata.add(name, value);
  return metadata;
}

function drained(call: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off("drain", done).off("close", done);
      resolve();
    };
    call.on("drain", done).on("close", done);
  });
}

async function* answers<I, O>(call: ClientDuplexStream<I, O>): AsyncGenerator<O, void, undefined> {
  try {
    for await (const message of call) yield message as O;
  } finally {
    call.cancel();
  }
}

/** Calls through one grpc-js client, which it owns. */
export class GrpcJsChannel implements Channel {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    limits: CallLimits,
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        methodPath(method),
        encoder(method.input),
        decoder(method.output),
        request,
        metadataOf(limits.headers),
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

  async *serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    limits: CallLimits,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const call: ClientReadableStream<MessageShape<O>> = this.#client.makeServerStreamRequest(
      methodPath(method),
      encoder(method.input),
      decoder(method.output),
      request,
      metadataOf(limits.headers),
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

  bidi<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    headers: CallHeaders,
  ): BidiCall<MessageInitShape<I>, MessageShape<O>> {
    const call: ClientDuplexStream<
      MessageInitShape<I>,
      MessageShape<O>
    > = this.#client.makeBidiStreamRequest(
      methodPath(method),
      encoder(method.input),
      decoder(method.output),
      metadataOf(headers),
    );
    call.on("error", () => {}); // the reader sees it; one that nobody reads must not crash us
    return {
      send: (message) => (call.write(message) ? undefined : drained(call)),
      end: () => call.end(),
      cancel: () => call.cancel(),
      messages: answers(call),
    };
  }

  close(): void {
    this.#client.close();
  }
}
