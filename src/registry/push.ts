// Blobs and manifests into a repository, as the OCI distribution spec has it: a blob in pieces, so that only one piece
// is in memory, and a token that ended on the way is fetched anew.
import { KilnError } from "../errors/index.ts";
import { digestOf } from "./digest.ts";
import { type HttpRequest, type HttpResponse, send } from "./http.ts";
import { authorizationFor, type ReadOptions } from "./reading.ts";
import { type ImageReference, referenceText, registryHost } from "./reference.ts";
import { refused, unreachable } from "./registry-errors.ts";
import { baseUrls } from "./token.ts";

/** A blob on its way. Calls must not overlap. */
export interface BlobUpload {
  /** Sends the next piece. */
  write(piece: Uint8Array): Promise<void>;
  /** Names the blob. `digest` is of all that was written. */
  commit(digest: string): Promise<void>;
  /** Gives it up; never rejects. */
  abort(): Promise<void>;
}

/** A repository that is pushed to. All reject with KilnError Registry/…. */
export interface Repository {
  upload(): Promise<BlobUpload>;
  /** Whether the blob is there already. */
  has(digest: string): Promise<boolean>;
  /** Puts a manifest under a tag, or under its digest when there is none; returns the digest. */
  putManifest(body: Buffer, mediaType: string, tag?: string): Promise<string>;
}

/** One piece may take this long, in milliseconds. */
const pieceMs = 120_000;

interface Asked extends Omit<HttpRequest, "url"> {
  /** Path under /v2/<repository>/, or a whole URL that the registry gave. */
  readonly at: string;
}

/** Opens a repository for pushing. Nothing is sent before the first call. */
export function repository(reference: ImageReference, options: ReadOptions): Repository {
  return new PushedRepository(reference, options);
}

class PushedRepository implements Repository {
  readonly #reference: ImageReference;
  readonly #options: ReadOptions;
  #base: string | undefined;
  #authorization: string | undefined;

  constructor(reference: ImageReference, options: ReadOptions) {
    this.#reference = reference;
    this.#options = options;
  }

  async has(digest: string): Promise<boolean> {
    const { status } = await this.#ask({ method: "HEAD", at: `blobs/${digest}` });
    return status === 200;
  }

  async upload(): Promise<BlobUpload> {
    let at = this.#next(await this.#accepted({ method: "POST", at: "blobs/uploads/" }, 202));
    let from = 0;
    return {
      write: async (body) => {
        const headers = {
          "content-type": "application/octet-stream",
          "content-range": `${from}-${from + body.byteLength - 1}`,
        };
        at = this.#next(await this.#accepted({ method: "PATCH", at, headers, body }, 202));
        from += body.byteLength;
      },
      commit: async (digest) => {
        const url = new URL(at);
        url.searchParams.set("digest", digest);
        await this.#accepted({ method: "PUT", at: url.href }, 201);
      },
      abort: async () => {
        await this.#ask({ method: "DELETE", at }).catch(() => undefined);
      },
    };
  }

  async putManifest(body: Buffer, mediaType: string, tag?: string): Promise<string> {
    const digest = digestOf(body);
    const headers = { "content-type": mediaType };
    await this.#accepted({ method: "PUT", at: `manifests/${tag ?? digest}`, headers, body }, 201);
    return digest;
  }

  /** Where the upload goes on: some registries say it relative to their root. */
  #next({ headers: { location } }: HttpResponse): string {
    if (location === undefined)
      throw refused(this.#host, 502, `an upload to ${referenceText(this.#reference)}`);
    return new URL(location, this.#base).href;
  }

  get #host(): string {
    return registryHost(this.#reference.domain);
  }

  async #accepted(asked: Asked, status: number): Promise<HttpResponse> {
    const response = await this.#ask(asked);
    if (response.status === status) return response;
    throw refused(this.#host, response.status, `a push to ${referenceText(this.#reference)}`);
  }

  async #ask(asked: Asked): Promise<HttpResponse> {
    const first = await this.#send(asked);
    if (first.status !== 401) return first;
    const { challenge } = first;
    const wanted = authorizationFor(challenge, this.#reference, this.#options, "pull,push");
    this.#authorization = await wanted;
    return this.#authorization === undefined ? first : await this.#send(asked);
  }

  async #send({ at, headers, ...rest }: Asked): Promise<HttpResponse> {
    let failure: unknown;
    const bases = this.#base === undefined ? this.#bases() : [this.#base];
    for (const base of bases) {
      const url = /^https?:/.test(at) ? at : `${base}/v2/${this.#reference.repository}/${at}`;
      // A login goes to the registry itself, never to where it sends an upload.
      const own = new URL(url).origin === new URL(base).origin;
      const authorization = own ? this.#authorization : undefined;
      try {
        const response = await send(
          { ...rest, url, headers: { ...headers, ...(authorization && { authorization }) } },
          { ...this.#options, deadlineMs: pieceMs },
        );
        this.#base = base;
        return response;
      } catch (error) {
        this.#options.signal.throwIfAborted();
        if (error instanceof KilnError) throw error;
        failure = error;
      }
    }
    throw unreachable(this.#host, failure);
  }

  #bases(): string[] {
    return baseUrls(this.#host, this.#options.insecure === true);
  }
}
