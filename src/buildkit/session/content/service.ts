// containerd's content service over stores of ours (containerd.services.content.v1.Content): the daemon reads OCI
// layouts and caches through it, and writes image layouts and caches. A header of each call names the store.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { EmptySchema, timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import {
  Content,
  ListContentRequestSchema,
  ListContentResponseSchema,
  ReadContentRequestSchema,
  WriteContentRequestSchema,
  WriteContentResponseSchema,
  type WriteContentRequest,
  type WriteContentResponse,
} from "../../../gen/containerd/services/content/v1/content_pb.ts";
import { methodPath } from "../../rpc/channel.ts";
import {
  SessionError,
  type Attachable,
  type CallMetadata,
  type MessageStream,
} from "../attachable.ts";
import { WireWriter } from "../filesync/wire.ts";
import { unaryMethod } from "../unary.ts";
import type { Ingest } from "./ingest.ts";
import type { StoredBlob, ContentStore, WriteStatus } from "./store.ts";

const storeHeader = "buildkit-attachable-store-id";
const listedAtOnce = 100;
// Numbers of the enum WriteAction.
const actionWrite = 1;
const actionCommit = 2;

/** A store, and the name by which the daemon asks for it: "oci:<name>", "local:<directory>", "export". */
export interface StoreUse {
  readonly id: string;
  readonly store: ContentStore;
}

/**
 * Lends stores to the daemon. One session has one: give it all uses. Of two with one id (a cache that is read and
 * written) the writable one holds. Nothing can be deleted through it.
 */
export function contentProvider(...uses: readonly StoreUse[]): Attachable {
  const stores = new Map<string, ContentStore>();
  for (const { id, store } of uses) {
    if (stores.get(id)?.writable !== true) stores.set(id, store);
  }
  const choose = (metadata: CallMetadata): ContentStore => {
    const id = metadata.get(storeHeader)?.[0];
    if (id === undefined)
      throw new SessionError(grpcStatus.invalidArgument, `request lacks metadata ${storeHeader}`);
    const store = stores.get(id);
    if (store === undefined) throw new SessionError(grpcStatus.notFound, `unknown store ${id}`);
    return store;
  };
  return {
    methods: {
      ...Object.fromEntries(unaryMethods(choose)),
      [methodPath(Content.method.list)]: {
        kind: "stream",
        handle: (stream) => list(choose(stream.metadata), stream),
      },
      [methodPath(Content.method.read)]: {
        kind: "stream",
        handle: (stream) => read(choose(stream.metadata), stream),
      },
      [methodPath(Content.method.write)]: {
        kind: "stream",
        handle: (stream) => write(choose(stream.metadata), stream),
      },
    },
  };
}

function unaryMethods(choose: (metadata: CallMetadata) => ContentStore) {
  return [
    unaryMethod(Content.method.info, async ({ digest }, _signal, metadata) => ({
      info: wireInfo(await choose(metadata).info(digest)),
    })),
    unaryMethod(Content.method.status, async ({ ref }, _signal, metadata) => ({
      status: wireStatus(await choose(metadata).status(ref)),
    })),
    unaryMethod(Content.method.listStatuses, async ({ filters }, _signal, metadata) => {
      refuseFilters(filters);
      return { statuses: (await choose(metadata).statuses()).map(wireStatus) };
    }),
    unaryMethod(Content.method.abort, async ({ ref }, _signal, metadata) => {
      await choose(metadata).abort(ref);
      return create(EmptySchema);
    }),
    // An OCI layout has no place for labels; containerd's own store answers the same without one.
    unaryMethod(Content.method.update, (_request, _signal, metadata) => {
      choose(metadata);
      return Promise.reject(
        new SessionError(
          grpcStatus.failedPrecondition,
          "update not supported on immutable content store",
        ),
      );
    }),
    unaryMethod(Content.method.delete, (_request, _signal, metadata) => {
      choose(metadata);
      return Promise.reject(
        new SessionError(
          grpcStatus.permissionDenied,
          "a builder may not delete content of its client",
        ),
      );
    }),
  ];
}

function refuseFilters(filters: readonly string[]): void {
  if (filters.length > 0)
    throw new SessionError(grpcStatus.unimplemented, "filters are not supported");
}

function wireInfo({ digest, size, createdAt, updatedAt }: StoredBlob) {
  return {
    digest,
    size: BigInt(size),
    createdAt: timestampFromDate(createdAt),
    updatedAt: timestampFromDate(updatedAt),
  };
}

function wireStatus({ ref, offset, total, startedAt, updatedAt }: WriteStatus) {
  return {
    ref,
    offset: BigInt(offset),
    total: BigInt(total),
    startedAt: timestampFromDate(startedAt),
    updatedAt: timestampFromDate(updatedAt),
  };
}

/** The one request of a call that answers with a stream. */
async function requestOf(stream: MessageStream): Promise<Buffer> {
  for await (const message of stream.messages) return message;
  throw new SessionError(grpcStatus.internal, "the call has no request");
}

async function list(store: ContentStore, stream: MessageStream): Promise<void> {
  refuseFilters(fromBinary(ListContentRequestSchema, await requestOf(stream)).filters);
  const all = await store.list();
  for (let from = 0; from < all.length; from += listedAtOnce) {
    const info = all.slice(from, from + listedAtOnce).map(wireInfo);
    const full = stream.send(
      toBinary(ListContentResponseSchema, create(ListContentResponseSchema, { info })),
    );
    if (full !== undefined) await full;
  }
}

async function read(store: ContentStore, stream: MessageStream): Promise<void> {
  const request = fromBinary(ReadContentRequestSchema, await requestOf(stream));
  const { size } = await store.info(request.digest);
  const from = Math.max(0, Number(request.offset));
  if (from > size)
    throw new SessionError(grpcStatus.outOfRange, `read past object length ${size} bytes`);
  const wanted = Number(request.size);
  const length = wanted <= 0 ? size - from : Math.min(wanted, size - from);
  let at = from;
  for await (const data of store.read(request.digest, from, length)) {
    if (stream.signal.aborted) return;
    // ReadContentResponse{offset = 1, data = 2}, without a copy of the data.
    const head = new WireWriter(32).number(0x08, at).varint(0x12).varint(data.length).written;
    at += data.length;
    const full = stream.send(head, data);
    if (full !== undefined) await full;
  }
}

async function write(store: ContentStore, stream: MessageStream): Promise<void> {
  let session: WriteSession | undefined;
  try {
    for await (const message of stream.messages) {
      const request = fromBinary(WriteContentRequestSchema, message);
      session ??= await WriteSession.begin(store, request);
      const full = stream.send(toBinary(WriteContentResponseSchema, await session.answer(request)));
      if (full !== undefined) await full;
      if (request.action === actionCommit) return;
    }
  } finally {
    await session?.close();
  }
}

/** One Write call: stat, write and commit of one blob, each answered. */
class WriteSession {
  readonly #store: ContentStore;
  readonly #ref: string;
  readonly #ingest: Ingest;
  readonly #startedAt: Timestamp = timestampFromDate(new Date());
  #total: number;
  #expected: string;

  private constructor(
    store: ContentStore,
    ingest: Ingest,
    { ref, total, expected }: WriteContentRequest,
  ) {
    this.#store = store;
    this.#ref = ref;
    this.#ingest = ingest;
    this.#total = Number(total);
    this.#expected = expected;
  }

  static async begin(store: ContentStore, first: WriteContentRequest): Promise<WriteSession> {
    if (first.ref === "")
      throw new SessionError(grpcStatus.invalidArgument, "first message must have a reference");
    if (store.writable) await refuseExisting(store, first.expected);
    const ingest = await store.write(first.ref, Number(first.total));
    return new WriteSession(store, ingest, first);
  }

  async answer(request: WriteContentRequest): Promise<WriteContentResponse> {
    if (request.expected !== "") {
      this.#expected = request.expected;
      await this.#refuseExisting();
    }
    if (request.total > 0n) this.#total = Number(request.total);
    const { action } = request;
    if (action === actionWrite || action === actionCommit) await this.#take(request);
    const digest = action === actionCommit ? await this.#commit() : this.#ingest.digest();
    return create(WriteContentResponseSchema, {
      action,
      digest,
      offset: BigInt(this.#ingest.offset),
      total: BigInt(this.#total),
      startedAt: this.#startedAt,
      updatedAt: timestampFromDate(new Date()),
    });
  }

  async close(): Promise<void> {
    await this.#ingest.close();
  }

  async #take({ action, offset, data }: WriteContentRequest): Promise<void> {
    const at = Number(offset);
    // A commit from the start without bytes is about what was written, unless there is nothing.
    if (this.#total > 0 && at + data.length > this.#total)
      throw new SessionError(grpcStatus.failedPrecondition, "more bytes than were announced");
    if (data.length > 0 || (action === actionWrite && at === 0)) {
      await this.#ingest.write(data, at);
    } else if (at > 0 && at !== this.#ingest.offset) {
      throw new SessionError(
        grpcStatus.outOfRange,
        `write @${at} must occur at current offset ${this.#ingest.offset}`,
      );
    }
  }

  async #commit(): Promise<string> {
    try {
      return await this.#ingest.commit(this.#total, this.#expected);
    } catch (error) {
      if (error instanceof SessionError && error.code === grpcStatus.alreadyExists)
        await this.#drop();
      throw error;
    }
  }

  async #refuseExisting(): Promise<void> {
    try {
      await refuseExisting(this.#store, this.#expected);
    } catch (error) {
      await this.#drop();
      throw error;
    }
  }

  async #drop(): Promise<void> {
    await this.#ingest.close();
    await this.#store.abort(this.#ref);
  }
}

/** The daemon takes ALREADY_EXISTS for success. */
async function refuseExisting(store: ContentStore, digest: string): Promise<void> {
  if (digest === "") return;
  const found = await store.info(digest).catch((error: unknown) => {
    if (error instanceof SessionError && error.code === grpcStatus.notFound) return undefined;
    throw error;
  });
  if (found !== undefined)
    throw new SessionError(grpcStatus.alreadyExists, `blob with expected digest ${digest} exists`);
}
