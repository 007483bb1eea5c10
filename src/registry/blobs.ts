// Blobs of a repository, read in ranges: nobody keeps a whole one. Redirects to where a registry keeps its blobs are
// followed once, without the login.
import { type HttpResponse, send } from "./http.ts";
import { type ImageReference, referenceText, registryHost } from "./reference.ts";
import { askToRead, type ReadOptions } from "./reading.ts";
import { refused } from "./registry-errors.ts";

/** Reads the blobs of one repository. All reject with KilnError Registry/…. */
export interface BlobReader {
  /** Bytes of a blob; undefined when there is none. */
  size(digest: string): Promise<number | undefined>;
  /** At most 4 MiB from `from`; fewer at the end of the blob. */
  read(digest: string, from: number, length: number): Promise<Buffer>;
}

/** Of one request. */
export const rangeBytes = 4 * 1024 * 1024;
const readMs = 60_000;

/** Opens a repository for reading. Nothing is sent before the first call. */
export function blobReader(reference: ImageReference, options: ReadOptions): BlobReader {
  const host = registryHost(reference.domain);
  let authorization: string | undefined;
  const ask = async (
    method: "GET" | "HEAD",
    url: string,
    range: Readonly<Record<string, string>>,
  ): Promise<HttpResponse> => {
    const own = { ...range, ...(authorization !== undefined && { authorization }) };
    const response = await send({ method, url, headers: own }, { ...options, deadlineMs: readMs });
    const { location } = response.headers;
    if (response.status < 301 || response.status > 308 || location === undefined) return response;
    const elsewhere = new URL(location, url).href;
    return await send(
      { method, url: elsewhere, headers: { ...range } },
      { ...options, deadlineMs: readMs },
    );
  };
  const request = async (
    method: "GET" | "HEAD",
    digest: string,
    range: Readonly<Record<string, string>> = {},
  ): Promise<HttpResponse> => {
    const path = `${reference.repository}/blobs/${digest}`;
    return await askToRead(reference, options, (base, fresh) => {
      authorization = fresh ?? authorization;
      return ask(method, `${base}/v2/${path}`, range);
    });
  };
  const what = (digest: string): string => `${referenceText(reference)} (${digest})`;
  return {
    async size(digest) {
      const { status, headers } = await request("HEAD", digest);
      if (status === 404) return undefined;
      if (status !== 200) throw refused(host, status, what(digest));
      return Number(headers["content-length"] ?? 0);
    },
    async read(digest, from, length) {
      const last = from + Math.min(length, rangeBytes) - 1;
      const { status, body } = await request("GET", digest, { range: `bytes=${from}-${last}` });
      if (status === 416) return Buffer.alloc(0);
      if (status === 206) return body;
      // A registry without ranges sends all of it, which is fine when it is small.
      if (status === 200) return body.subarray(from, last + 1);
      throw refused(host, status, what(digest));
    },
  };
}
