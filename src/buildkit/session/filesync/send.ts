// Serves trees to the daemon: moby.filesync.v1.FileSync/DiffCopy, the sending side of fsutil's protocol.
// STAT for every entry, an empty STAT at the end; for each REQ the file's DATA and an empty DATA; FIN for FIN.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { FileSync } from "../../../gen/moby/filesync/v1/filesync_pb.ts";
import { methodPath } from "../../rpc/channel.ts";
import {
  SessionError,
  type Attachable,
  type CallMetadata,
  type MessageStream,
} from "../attachable.ts";
import { errorPacket, finPacket, packetType, readPacket } from "./packets.ts";
import { Sender } from "./sending/sender.ts";
import { faultOf } from "./sending/thread-messages.ts";
import { startThread, ThreadFault } from "./sending/thread.ts";
import type { Tree } from "./tree.ts";
import { Walker, type Selection, type WalkEntry } from "./walk.ts";

/** Names that are looked at before a worker is started: 1,000 take about 10 ms, a worker's start takes longer. */
const inlineSteps = 1_000;

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

/** Walks a small tree here and now. A worker begins a large one anew, so that no entry is seen twice. */
function begin(tree: Tree, selection: Selection, stream: MessageStream): Sending {
  const walker = new Walker(tree, selection);
  const found: WalkEntry[] = [];
  while (!walker.done && walker.steps < inlineSteps && !walker.beforeLarge) walker.step(found);
  if (!walker.done && tree.folder !== undefined) {
    return startThread(tree.folder, selection, (frames) => stream.sendFrames(frames));
  }
  const failed = Promise.withResolvers<never>();
  const sender = new Sender(tree, {
    outlet: (frames) => stream.sendFrames(frames),
    mayBlock: false,
    onFailure: failed.reject,
  });
  const listed = sender.list(found, walker);
  listed.catch(failed.reject);
  return {
    listed,
    failed: failed.promise,
    request: (ids) => ids.forEach((id) => sender.request(id)),
    end() {
      sender.stop(); // what waits for the stream ends with it
      return Promise.resolve();
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
