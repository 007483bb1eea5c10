// Serves trees to the daemon: moby.filesync.v1.FileSync/DiffCopy, the sending side of fsutil's protocol.
// STAT for every entry, an empty STAT at the end; for each REQ the file's DATA and an empty DATA; FIN for FIN.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { FileSync } from "../../../gen/moby/filesync/v1/filesync_pb.ts";
import { lent } from "../../http2/reusable-bytes.ts";
import { methodPath } from "../../rpc/channel.ts";
import {
  SessionError,
  type Attachable,
  type CallMetadata,
  type MessageStream,
} from "../attachable.ts";
import { errorPacket, finPacket, packetType, readPacket } from "./packets.ts";
import { batchBytes, chunkBufferBytes } from "./sending/batch.ts";
import { ChunkPool } from "./sending/chunk-pool.ts";
import { Sender } from "./sending/sender.ts";
import { faultOf } from "./sending/thread-messages.ts";
import { startThread, ThreadFault, type SendingThread } from "./sending/thread.ts";
import { chunkBytes, type Tree } from "./tree.ts";
import { Walker, type Selection } from "./walk.ts";

/**
 * Names that are looked at in turns on this thread before a worker is started: that costs as much as 5,000 names, and
 * passing on what it has read costs more.
 */
const ownSteps = 25_000;

/** Serves named directories: the names that a build's local sources have, "context" and "dockerfile" first of all. */
export function filesync(directories: Readonly<Record<string, Tree>>): Attachable {
  return {
    methods: {
      [methodPath(FileSync.method.diffCopy)]: {
        kind: "stream",
        handle: (stream) => serve(directories, stream),
      },
    },
  };
}

function selectionOf(metadata: CallMetadata): Selection {
  return {
    include: metadata.get("include-patterns") ?? [],
    exclude: metadata.get("exclude-patterns") ?? [],
    follow: metadata.get("followpaths") ?? [],
  };
}

async function serve(
  directories: Readonly<Record<string, Tree>>,
  stream: MessageStream,
): Promise<void> {
  const name = stream.metadata.get("dir-name")?.[0] ?? "";
  const tree = Object.hasOwn(directories, name) ? directories[name] : undefined;
  if (tree === undefined)
    throw new SessionError(grpcStatus.notFound, `no access allowed to dir ${JSON.stringify(name)}`);
  try {
    await send(tree, selectionOf(stream.metadata), stream);
  } catch (error) {
    const failure = failureOf(error, name);
    void stream.send(errorPacket(failure.message));
    throw failure;
  }
}

/** What went wrong in words without our paths. */
function failureOf(error: unknown, directory: string): SessionError {
  if (error instanceof SessionError) return error;
  const { name, message, code } = error instanceof ThreadFault ? error.fault : faultOf(error);
  if (name === "SyntaxError" || name === "RangeError")
    return new SessionError(grpcStatus.invalidArgument, message);
  const what = `local directory ${JSON.stringify(directory)}`;
  if (code === "ENOENT") return new SessionError(grpcStatus.notFound, `${what} is not there`);
  const how = code === "" ? "failed" : `failed with ${code}`;
  return new SessionError(grpcStatus.aborted, `reading ${what} ${how}`);
}

/** A sync under way, on this thread or another. */
interface Sending {
  readonly listed: Promise<void>;
  readonly failed: Promise<never>;
  request(ids: readonly number[]): void;
  end(): Promise<void>;
}

async function send(tree: Tree, selection: Selection, stream: MessageStream): Promise<void> {
  const sending = begin(tree, selection, stream);
  const gone = new Promise<never>((_resolve, reject) => {
    const leave = (): void =>
      reject(new SessionError(grpcStatus.aborted, "the receiver left before it was done"));
    if (stream.signal.aborted) leave();
    stream.signal.addEventListener("abort", leave, { once: true });
  });
  gone.catch(() => {});
  sending.failed.catch(() => {});
  sending.listed.catch(() => {});
  try {
    await Promise.race([receive(stream, sending), sending.failed, gone]);
  } finally {
    await sending.end();
  }
}

/** Begins here. For a tree that turns out to be large a worker is started, which goes on from where we are by then. */
function begin(tree: Tree, selection: Selection, stream: MessageStream): Sending {
  const { folder } = tree;
  const failed = Promise.withResolvers<never>();
  const sender = new Sender(tree, {
    outlet: (frames) => stream.sendFrames(lent(frames)),
    chunks: new ChunkPool(chunkBufferBytes(chunkBytes)),
    batches: new ChunkPool(batchBytes),
    mayBlock: false,
    onFailure: failed.reject,
  });
  let thread: SendingThread | undefined;
  let threadsFirst = Infinity;
  const leaves = (walker: Walker): boolean | Promise<boolean> => {
    if (folder === undefined) return false;
    const isLong = walker.beforeLarge;
    if (thread === undefined) {
      if (walker.steps < ownSteps && !isLong) return false;
      thread = startThread(folder, selection, (frames) => stream.sendFrames(frames));
      thread.failed.catch(failed.reject);
    }
    return isLong ? thread.ready.then(() => true) : thread.isReady;
  };
  const list = async (): Promise<void> => {
    const walker = new Walker(tree, selection);
    if ((await sender.list(walker, leaves)) || thread === undefined) return;
    threadsFirst = sender.sent.entries;
    thread.begin(walker.position, sender.sent);
    await thread.listed;
  };
  const listed = list();
  listed.catch(failed.reject);
  return {
    listed,
    failed: failed.promise,
    request(ids) {
      for (const id of ids) if (id < threadsFirst) sender.request(id);
      const others = ids.filter((id) => id >= threadsFirst);
      if (others.length > 0) thread?.request(others);
    },
    async end() {
      sender.stop(); // what waits for the stream ends with it
      await thread?.end();
    },
  };
}

/** Until the receiver has all that it wants. */
async function receive(stream: MessageStream, sending: Sending): Promise<void> {
  for await (const batch of stream.batches) {
    const wanted: number[] = [];
    for (const message of batch) {
      const packet = readPacket(message);
      switch (packet.type) {
        case packetType.request:
          wanted.push(packet.id);
          break;
        case packetType.fin:
          await sending.listed;
          void stream.send(finPacket());
          return;
        case packetType.error:
          throw new SessionError(
            grpcStatus.aborted,
            `error from receiver: ${packet.data.toString("utf8")}`,
          );
        default:
          throw new SessionError(
            grpcStatus.invalidArgument,
            `unexpected packet of type ${packet.type}`,
          );
      }
    }
    if (wanted.length > 0) sending.request(wanted);
  }
  throw new SessionError(grpcStatus.aborted, "the receiver left before it was done");
}
