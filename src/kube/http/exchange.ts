// One question and its whole answer: deadline, bounded body, Retry-After, and a second try when a
// kept-alive connection turned out to be dead.

import { backoffMs } from "../../runtime/backoff.ts";
import type { BackoffPolicy } from "../../runtime/backoff.ts";
import { deadline, sleep } from "../../runtime/clock.ts";
import type { Clock } from "../../runtime/clock.ts";
import { ApiError, apiErrorOf, unavailable } from "../errors.ts";
import type { HttpRequest, HttpResponse, Transport } from "./transport.ts";

/** What is to be asked. */
export interface Question {
  readonly method: HttpRequest["method"];
  readonly path: string;
  /** In a few words for error messages: `get pods shop/web`. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly contentType?: string;
}

/** What all exchanges of a client share. */
export interface ExchangeOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: () => number;
  /** One question with all its retries takes no longer than this. */
  readonly timeoutMs: number;
}

/** Tries of one question, the first included. */
const maxTries = 5;
/** A server that asks for a longer wait gets its error handed on: the reconcile backs off instead. */
const longestWaitMs = 10_000;
/** An answer larger than this is refused: a page of 500 objects of 500 KB fits. */
const maxBodyBytes = 256 * 1024 * 1024;
const busyBackoff: BackoffPolicy = { baseMs: 250, maxMs: 4_000, factor: 2, jitter: 0.5 };

/** Asks and returns the parsed JSON answer. Rejects with `ApiError`, or the signal's reason. */
export async function ask(
  question: Question,
  o: ExchangeOptions,
  signal: AbortSignal,
): Promise<unknown> {
  const limit = deadline(o.clock, o.timeoutMs, signal, () =>
    unavailable(question.what, new Error(`no answer within ${o.timeoutMs} ms`)),
  );
  try {
    for (let tries = 1; ; tries += 1) {
      try {
        return await askOnce(question, o.transport, limit.signal);
      } catch (error) {
        if (limit.signal.aborted) throw limit.signal.reason;
        if (tries >= maxTries || !mayRepeat(question, error)) throw error;
        const waitMs = error.retryAfterMs ?? backoffMs(busyBackoff, tries - 1, o.random());
        if (waitMs > longestWaitMs) throw error;
        await sleep(o.clock, waitMs, limit.signal);
      }
    }
  } finally {
    limit.clear();
  }
}

async function askOnce(
  question: Question,
  transport: Transport,
  signal: AbortSignal,
): Promise<unknown> {
  let status: number;
  let retryAfter: string | undefined;
  let text: string;
  try {
    const response = await transport.send({
      method: question.method,
      path: question.path,
      headers: {
        ...question.headers,
        ...(question.body === undefined
          ? {}
          : { "content-type": question.contentType ?? "application/json" }),
      },
      ...(question.body === undefined ? {} : { body: JSON.stringify(question.body) }),
      signal,
    });
    status = response.status;
    retryAfter = response.headers["retry-after"];
    text = await readAll(response);
  } catch (error) {
    throw error instanceof ApiError ? error : unavailable(question.what, error);
  }
  const body = parse(text);
  if (status >= 400) throw apiErrorOf(status, body, question.what, retryAfter);
  if (body === undefined) throw unavailable(question.what, new Error("the answer is not JSON"));
  return body;
}

/**
 * Busy servers (429, and 503 that says when) did nothing yet: any verb may be repeated. After a lost
 * answer the server may have done it: applying, deleting and reading may be repeated, creating not.
 */
function mayRepeat(question: Question, error: unknown): error is ApiError {
  if (!(error instanceof ApiError)) return false;
  if (error.kind === "TooManyRequests") return true;
  if (error.status === 503) return error.retryAfterMs !== undefined || question.method === "GET";
  return error.status === 0 && question.method !== "POST" && wasReset(error.cause);
}

const resets = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"]);

function wasReset(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && resets.has(String(cause.code));
}

/** The whole body as text; cancels the response when it is too large. */
export async function readAll(response: HttpResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.byteLength;
    if (bytes > maxBodyBytes) {
      response.cancel();
      throw new Error(`the answer is larger than ${maxBodyBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Undefined when `text` is not JSON: proxies answer in HTML. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
