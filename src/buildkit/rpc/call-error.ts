// How a gRPC call over our own HTTP/2 ended: from headers, trailers or the stream's error to a status. Pure.
import { grpcStatus } from "../errors/grpc-status.ts";
import { neverGreeted } from "../http2/connection.ts";
import { errorCode, type HeaderList, type Http2Error } from "../http2/protocol.ts";
import { decodeStatusMessage } from "../session/frames.ts";
import type { FailedCall } from "./channel.ts";

/** A call that failed, in the shape that every Channel rejects with. */
export class CallError extends Error implements FailedCall {
  readonly code: number;
  readonly details: string;
  readonly metadata: { get(key: string): readonly (string | Buffer)[] };

  constructor(code: number, details: string, trailers: HeaderList = [], cause?: unknown) {
    super(`${code}: ${details}`, cause === undefined ? undefined : { cause });
    this.name = "CallError";
    this.code = code;
    this.details = details;
    this.metadata = {
      get: (key) =>
        trailers
          .filter(([name]) => name === key)
          .map(([, value]) => (key.endsWith("-bin") ? Buffer.from(value, "base64") : value)),
    };
  }
}

const grpcType = "application/grpc";
const maxTypeChars = 100;

/** What came of a call beside its messages. */
export interface CallHeads {
  readonly head: HeaderList | undefined;
  readonly trailers: HeaderList | undefined;
  readonly error?: Http2Error | undefined;
}

/** The failure of a call that is over; undefined for status OK. */
export function callEnd({ head, trailers, error }: CallHeads): CallError | undefined {
  // A call that ends without messages has its status in the head.
  const last = trailers ?? head ?? [];
  const status = valueOf(last, "grpc-status");
  if (status !== undefined && /^\d{1,3}$/.test(status)) {
    const details = decodeStatusMessage(valueOf(last, "grpc-message") ?? "");
    return Number(status) === 0 ? undefined : new CallError(Number(status), details, last);
  }
  const other = notGrpc(head ?? []);
  if (other !== undefined) return other;
  if (error !== undefined) return new CallError(codeOf(error), error.message);
  return new CallError(grpcStatus.internal, "the call ended without a status");
}

/** The failure of a call that something else than a gRPC server answers: a proxy, a web server. */
export function notGrpc(head: HeaderList): CallError | undefined {
  if (valueOf(head, "grpc-status") !== undefined) return undefined;
  const http = valueOf(head, ":status") ?? "200";
  const type = valueOf(head, "content-type") ?? grpcType;
  const isGrpc = type.startsWith(grpcType);
  if (http === "200" && isGrpc) return undefined;
  const what = isGrpc ? "" : ` ${type.slice(0, maxTypeChars)}`;
  return new CallError(codeOfHttp(http), `the server answered HTTP ${http}${what} and not gRPC`);
}

function valueOf(headers: HeaderList, name: string): string | undefined {
  return headers.find(([each]) => each === name)?.[1];
}

/** gRPC's table of HTTP/2 codes (PROTOCOL-HTTP2); code 0 is a connection that ended. */
function codeOf(error: Http2Error): number {
  if (error.code === errorCode.cancel) return grpcStatus.cancelled;
  if (error.code === errorCode.noError || error.unprocessed) return grpcStatus.unavailable;
  if (error.code === errorCode.enhanceYourCalm) return grpcStatus.resourceExhausted;
  return error.code === errorCode.refusedStream ? grpcStatus.unavailable : grpcStatus.internal;
}

/** gRPC's table of HTTP statuses, for proxies that answer themselves. */
function codeOfHttp(status: string): number {
  const codes: Readonly<Record<string, number>> = {
    "400": grpcStatus.internal,
    "401": 16,
    "403": 7,
    "404": 12,
    "429": grpcStatus.unavailable,
    "502": grpcStatus.unavailable,
    "503": grpcStatus.unavailable,
    "504": grpcStatus.unavailable,
  };
  return codes[status] ?? grpcStatus.unknown;
}

/** The failure of a call whose connection could not be made. */
export function connectionFailed(error: unknown): CallError {
  if (error instanceof CallError) return error;
  return new CallError(grpcStatus.unavailable, `${neverGreeted}: ${messageOf(error)}`, [], error);
}

/** Of a name with several addresses, Node tells only in parts why none of them could be dialled. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "")
    return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
