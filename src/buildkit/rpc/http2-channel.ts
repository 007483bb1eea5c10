// A Channel over our own HTTP/2, for whatever bytes a dial function gives.
import { grpcStatus } from "../errors/grpc-status.ts";
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
import type { HeaderList } from "../http2/protocol.ts";
import { CallError } from "./call-error.ts";
import {
  methodPath,
  onAbort,
  type BidiCall,
  type CallHeaders,
  type CallLimits,
  type Channel,
} from "./channel.ts";
import { ClientCall, onlyMessage } from "./client-call.ts";
import type { Link } from "./link.ts";

/** The request head of a call. `deadlineMs` is told to the daemon. */
export function requestHead(
  path: string,
  { authority, headers = [], deadlineMs }: RequestHead,
): HeaderList {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", authority],
    ["te", "trailers"],
    ["content-type", "application/grpc"],
    ["user-agent", "kiln"],
    ...(deadlineMs === undefined ? [] : [["grpc-timeout", `${Math.ceil(deadlineMs)}m`] as const]),
    ...headers,
  ];
}

interface RequestHead {
  readonly authority: string;
  readonly headers?: CallHeaders | undefined;
  readonly deadlineMs?: number | undefined;
}

/** Calls through a link, which it owns. */
export class Http2Channel implements Channel {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    limits: CallLimits,
  ): Promise<MessageShape<O>> {
    const { call, stop } = await this.#start(method, limits);
    try {
      void call.send(encode(method.input, request));
      call.endSending();
      return fromBinary(method.output, await onlyMessage(call));
    } finally {
      stop();
    }
  }

  async *serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    limits: CallLimits,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const { call, stop } = await this.#start(method, limits);
    try {
      void call.send(encode(method.input, request));
      call.endSending();
      for await (const message of call.messages()) yield fromBinary(method.output, message);
    } finally {
      stop();
    }
  }

  bidi<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    headers: CallHeaders,
  ): BidiCall<MessageInitShape<I>, MessageShape<O>> {
    const end = new AbortController();
    const started = this.#start(method, { signal: end.signal, headers });
    let call: ClientCall | undefined;
    const ready = started.then((it) => (call = it.call));
    ready.catch(() => {}); // the reader sees it
    const whenReady = (work: (call: ClientCall) => void): void => {
      if (call === undefined) ready.then(work, () => {});
      else work(call);
    };
    return {
      send(message) {
        const bytes = encode(method.input, message);
        return call === undefined
          ? ready.then((it) => it.send(bytes)).catch(() => {})
          : call.send(bytes);
      },
      end: () => whenReady((it) => it.endSending()),
      cancel: () => end.abort(),
      messages: (async function* () {
        const { call: it, stop } = await started;
        try {
          for await (const message of it.messages()) yield fromBinary(method.output, message);
        } finally {
          stop();
        }
      })(),
    };
  }

  close(): void {
    this.#link.close();
  }

  /** Dials if it must, and opens the call; `stop` ends the watch over its limits. */
  async #start(
    method: DescMethod,
    { signal, deadlineMs, headers }: CallLimits,
  ): Promise<{ call: ClientCall; stop: () => void }> {
    const startedAt = performance.now();
    const limit = deadlineMs === undefined ? signal : withDeadline(signal, deadlineMs);
    const connection = await this.#link.connection(limit).catch((error: unknown) => {
      if (signal.aborted) throw new CallError(grpcStatus.cancelled, "the call was cancelled");
      throw error;
    });
    const leftMs =
      deadlineMs === undefined
        ? undefined
        : Math.max(1, deadlineMs - (performance.now() - startedAt));
    const head = requestHead(methodPath(method), {
      authority: this.#link.authority,
      headers,
      deadlineMs: leftMs,
    });
    let call: ClientCall | undefined;
    const stream = connection.request(head, (it) => (call = new ClientCall(it)));
    connection.widen(stream);
    const opened = call ?? new ClientCall(stream);
    const timer =
      leftMs === undefined ? undefined : setTimeout(() => opened.expire(), leftMs).unref();
    const unwatch = onAbort(signal, () => opened.cancel());
    const stop = (): void => {
      clearTimeout(timer);
      unwatch();
    };
    return { call: opened, stop };
  }
}

function encode<I extends DescMessage>(schema: I, message: MessageInitShape<I>): Uint8Array {
  return toBinary(schema, create(schema, message));
}

function withDeadline(signal: AbortSignal, ms: number): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(ms)]);
}
