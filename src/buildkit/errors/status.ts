// A failure of ours → the google.rpc.Status that tells the daemon of it, with the typed details it came with.
import { grpcStatus } from "./grpc-status.ts";
import { create, fromBinary } from "@bufbuild/protobuf";
import { StatusSchema, type Status } from "../../gen/google/rpc/status_pb.ts";
import type { FailedCall } from "../rpc/channel.ts";

/** Whether a rejection is a call that the daemon, or the transport, has failed. */
export function isFailedCall(error: unknown): error is FailedCall & Error {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "number" &&
    "details" in error &&
    typeof error.details === "string"
  );
}

/** The bytes of `grpc-status-details-bin`. */
export function detailBytes(call: FailedCall): Buffer | undefined {
  const bytes = call.metadata?.get("grpc-status-details-bin")[0];
  return Buffer.isBuffer(bytes) ? bytes : undefined;
}

function detailsOf(call: FailedCall): Status["details"] {
  try {
    return fromBinary(StatusSchema, detailBytes(call) ?? new Uint8Array()).details;
  } catch {
    return []; // not what the daemon sends; the message says what there is to say
  }
}

/** The status of a failed call as it came; of anything else: code UNKNOWN and its message. */
export function statusOf(error: unknown): Status {
  const cause = error instanceof Error && isFailedCall(error.cause) ? error.cause : error;
  if (isFailedCall(cause)) {
    const code = cause.code === 0 ? grpcStatus.unknown : cause.code;
    return create(StatusSchema, { code, message: cause.details, details: detailsOf(cause) });
  }
  const message = error instanceof Error ? error.message : String(error);
  return create(StatusSchema, { code: grpcStatus.unknown, message });
}
