// A store over bytes that are somewhere else, such as in a registry: it is only read.

import { grpcStatus } from "../../errors/grpc-status.ts";
import { SessionError } from "../attachable.ts";
import type { ContentStore, StoredBlob } from "./store.ts";

/** Where the bytes are. */
export interface LentBytes {
  /** Bytes of a blob; undefined when there is none. */
  size(digest: string): Promise<number | undefined>;
  /** Up to `length` bytes from `from`; none at the end. */
  read(digest: string, from: number, length: number): Promise<Buffer>;
}

const chunkBytes = 1024 * 1024;

/** A store for `contentProvider` that asks for bytes when the daemon does. */
export function lentStore(bytes: LentBytes): ContentStore {
  const refuse = (): Promise<never> =>
    Promise.reject(
      new SessionError(grpcStatus.failedPrecondition, "this content store is only read"),
    );
  return {
    writable: false,
    info: async (digest): Promise<StoredBlob> => {
      const size = await bytes.size(digest);
      if (size === undefined)
        throw new SessionError(grpcStatus.notFound, `content ${digest}: not found`);
      const at = new Date(0);
      return { digest, size, createdAt: at, updatedAt: at };
    },
    async *read(digest, from, length) {
      for (let at = from; at < from + length; ) {
        const piece = await bytes.read(digest, at, from + length - at);
        if (piece.length === 0) return;
        for (let cut = 0; cut < piece.length; cut += chunkBytes)
          yield piece.subarray(cut, cut + chunkBytes);
        at += piece.length;
      }
    },
    list: () => Promise.resolve([]),
    statuses: () => Promise.resolve([]),
    remove: refuse,
    status: refuse,
    write: refuse,
    abort: refuse,
  };
}
