// Objects into an S3-compatible bucket: small ones by one request, others in parts. What broke off leaves nothing.
import { KilnError } from "../../errors/index.ts";
import { type HttpResponse, send } from "../../registry/http.ts";
import { type PieceTarget } from "./pieces.ts";
import { type BucketLogin, encodedKey, signedHeaders } from "./sigv4.ts";

/** A bucket, and how to get into it. */
export interface Bucket {
  readonly bucket: string;
  readonly region: string;
  /** Default: Amazon's. */
  readonly endpoint?: string | undefined;
  readonly pathStyle?: boolean | undefined;
  readonly login: BucketLogin;
}

const requestMs = 120_000;
const maxParts = 10_000;

function urlOf(bucket: Bucket, key: string): URL {
  const base = new URL(bucket.endpoint ?? `https://s3.${bucket.region}.amazonaws.com`);
  const path = encodedKey(key);
  const root = base.pathname.replace(/\/$/, "");
  if (bucket.pathStyle !== true) base.hostname = `${bucket.bucket}.${base.hostname}`;
  base.pathname =
    bucket.pathStyle === true ? `${root}/${bucket.bucket}/${path}` : `${root}/${path}`;
  return base;
}

function failed({ bucket }: Bucket, { status, body }: HttpResponse): KilnError {
  const code = /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(body.toString("utf8"))?.[1];
  const says = code === undefined ? `${status}` : `${status} ${code}`;
  if (status >= 500 || status === 429)
    return new KilnError({
      class: "Infra",
      reason: "BucketUnavailable",
      message: `The server of bucket "${bucket}" answered ${says}; it can be tried again.`,
      retryable: true,
    });
  return new KilnError({
    class: "User",
    reason: "BucketRefused",
    message: `The server of bucket "${bucket}" refused an output (${says}): correct the bucket, its region or the Secret of credentials.`,
  });
}

interface Asked {
  readonly method: "PUT" | "POST" | "DELETE";
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

async function ask(bucket: Bucket, asked: Asked, signal: AbortSignal): Promise<HttpResponse> {
  const { method, key, query = {}, body = new Uint8Array() } = asked;
  const url = urlOf(bucket, key);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const at = { region: bucket.region, now: new Date() };
  const headers = signedHeaders({ method, url, body }, bucket.login, at);
  let response: HttpResponse;
  try {
    const request = { method, url: url.href, headers, body };
    response = await send(request, { signal, deadlineMs: requestMs });
  } catch (error) {
    signal.throwIfAborted();
    throw new KilnError({
      class: "Infra",
      reason: "BucketUnavailable",
      message: `The server of bucket "${bucket.bucket}" cannot be reached: check the endpoint and the network.`,
      retryable: true,
      cause: error,
    });
  }
  // The end of an upload in parts may fail in an answer of 200.
  if (response.status >= 300 || response.body.includes("<Error>")) throw failed(bucket, response);
  return response;
}

/** An object that is written piece by piece. Nothing is sent before the first piece. */
export function objectTarget(bucket: Bucket, key: string, signal: AbortSignal): PieceTarget {
  const tags: string[] = [];
  let id: string | undefined;
  const part = async (body: Buffer): Promise<void> => {
    if (id === undefined) {
      const { body: answer } = await ask(
        bucket,
        { method: "POST", key, query: { uploads: "" } },
        signal,
      );
      id = /<UploadId>([^<]+)<\/UploadId>/.exec(answer.toString("utf8"))?.[1] ?? "";
    }
    if (tags.length === maxParts)
      throw new KilnError({
        class: "User",
        reason: "OutputTooLarge",
        message: "An object of a bucket has at most 78 GiB: split the output.",
      });
    const query = { partNumber: String(tags.length + 1), uploadId: id };
    const { headers } = await ask(bucket, { method: "PUT", key, query, body }, signal);
    tags.push(String(headers.etag ?? ""));
  };
  return {
    write: part,
    async finish(rest) {
      if (id === undefined) {
        await ask(bucket, { method: "PUT", key, body: rest }, signal);
        return;
      }
      if (rest.length > 0) await part(rest);
      const parts = tags.map(
        (tag, index) =>
          `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag.replaceAll('"', "&quot;")}</ETag></Part>`,
      );
      const body = Buffer.from(
        `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`,
      );
      await ask(bucket, { method: "POST", key, query: { uploadId: id }, body }, signal);
    },
    async abort() {
      if (id === undefined) return;
      const gone = AbortSignal.timeout(requestMs);
      await ask(bucket, { method: "DELETE", key, query: { uploadId: id } }, gone).catch(
        () => undefined,
      );
    },
  };
}
