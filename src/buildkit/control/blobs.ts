// Blobs of the daemon's history: logs, traces, attestations. Whole when they are small, as a stream when not.
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Content } from "../../gen/containerd/services/content/v1/content_pb.ts";
import type { CallLimits, Channel } from "../rpc/channel.ts";
import { failedCall } from "./limits.ts";

/** The largest blob that is read whole, in bytes. */
export const maxBlobBytes = 16 * 1024 * 1024;

/** Which bytes of a blob. Default: all. */
export interface BlobRange {
  /** Bytes to skip. Default: 0. */
  readonly offset?: number;
  /** Bytes to read at most. Default: to the end. */
  readonly size?: number;
}

/** What the daemon knows of a blob without reading it. */
export interface BlobInfo {
  readonly digest: string;
  readonly size: number;
  readonly createdAt?: Date;
  readonly labels: Readonly<Record<string, string>>;
}

/** The bytes in chunks as the daemon cuts them (1 MiB, v0.34.2). Rejects as a call does; code 5 when there is no such blob. */
export async function* blobChunks(
  channel: Channel,
  { digest, offset = 0, size = 0 }: BlobRange & { readonly digest: string },
  limits: CallLimits,
): AsyncGenerator<Uint8Array, void, undefined> {
  const request = { digest, offset: BigInt(offset), size: BigInt(size) };
  for await (const { data } of channel.serverStream(Content.method.read, request, limits))
    if (data.length > 0) yield data;
}

/** The whole blob, or the range of it; fails when that is larger than 16 MiB. */
export async function wholeBlob(
  channel: Channel,
  blob: BlobRange & { readonly digest: string },
  limits: CallLimits,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of blobChunks(channel, blob, limits)) {
    size += chunk.length;
    if (size > maxBlobBytes)
      throw failedCall(8, `blob ${blob.digest} is larger than ${maxBlobBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Size and labels of a blob. */
export async function blobInfo(
  channel: Channel,
  digest: string,
  limits: CallLimits,
): Promise<BlobInfo> {
  const { info } = await channel.unary(Content.method.info, { digest }, limits);
  return {
    digest: info?.digest ?? digest,
    size: Number(info?.size ?? 0n),
    labels: { ...info?.labels },
    ...(info?.createdAt === undefined ? {} : { createdAt: timestampDate(info.createdAt) }),
  };
}
