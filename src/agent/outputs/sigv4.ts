// Requests that an S3 server believes: AWS Signature Version 4, as far as four calls need it. Pure.
import { createHash, createHmac } from "node:crypto";

/** Whose request it is. */
export interface BucketLogin {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** What is signed. */
export interface Signable {
  readonly method: string;
  readonly url: URL;
  readonly body: Uint8Array;
}

function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** The path of a key: every part encoded, slashes kept. */
export function encodedKey(key: string): string {
  return key.split("/").map(encoded).join("/");
}

function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

function hmac(key: Uint8Array | string, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

/** The headers that a request needs. `url.pathname` must be encoded by `encodedKey`. */
export function signedHeaders(
  { method, url, body }: Signable,
  login: BucketLogin,
  { region, now }: { readonly region: string; readonly now: Date },
): Record<string, string> {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, "");
  const day = time.slice(0, 8);
  const hashed = sha256(body);
  const { sessionToken } = login;
  const headers: Record<string, string> = {
    host: url.host,
    "x-amz-content-sha256": hashed,
    "x-amz-date": time,
    ...(sessionToken === undefined ? {} : { "x-amz-security-token": sessionToken }),
  };
  const names = Object.keys(headers).toSorted();
  const query = [...url.searchParams]
    .map(([key, value]) => `${encoded(key)}=${encoded(value)}`)
    .toSorted()
    .join("&");
  const canonical = [
    method,
    url.pathname,
    query,
    ...names.map((name) => `${name}:${headers[name] ?? ""}`),
    "",
    names.join(";"),
    hashed,
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", time, scope, sha256(canonical)].join("\n");
  const key = [region, "s3", "aws4_request"].reduce(
    (at, part) => hmac(at, part),
    hmac(`AWS4${login.secretAccessKey}`, day),
  );
  const signature = hmac(key, text).toString("hex");
  const authorization = `AWS4-HMAC-SHA256 Credential=${login.accessKeyId}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
  const { host: _, ...sent } = headers;
  return { ...sent, authorization };
}
