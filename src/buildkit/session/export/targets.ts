// The outputs of a build that come to us (moby.filesync.v1.FileSend): each exporter of the request names its own
// target by its place in the list. One method carries files (oci, docker, tar) and directories (local).
import { grpcStatus } from "../../errors/grpc-status.ts";
import type { Writable } from "node:stream";
import { FileSend } from "../../../gen/moby/filesync/v1/filesync_pb.ts";
import { methodPath } from "../../rpc/channel.ts";
import {
  SessionError,
  type Attachable,
  type CallMetadata,
  type MessageStream,
} from "../attachable.ts";
import { BytesMessageReader } from "../bytes-messages.ts";
import { OversizedError } from "../frames.ts";
import { cutOff, frameFault } from "../messages.ts";
import { errorCode } from "./confined.ts";
import { fileSink, streamSink, type FileSink } from "./file-sink.ts";
import { receiveDirectory } from "./receive-directory.ts";

const exporterId = "buildkit-attachable-exporter-id";
const multiPlatform = "buildkit-exporter-multi-platform";
const metadataPrefix = "exporter-md-";
const defaultMaxEntries = 1_000_000;
const defaultMaxNameBytes = 256 * 1024 * 1024;

/** What the daemon says about an output before it sends it, such as "containerimage.digest". */
export type ExportMetadata = ReadonlyMap<string, string>;

/** Where one exporter's output goes. */
export type ExportTarget = FileTarget | DirectoryTarget;

/** For the exporters oci, docker and tar. */
export interface FileTarget {
  readonly kind: "file";
  /** Called when the daemon begins to send; undefined refuses, as "already there". */
  open(metadata: ExportMetadata): Promise<FileSink | undefined>;
}

/** For the exporter local. */
export interface DirectoryTarget extends DirectoryOptions {
  readonly kind: "directory";
  readonly path: string;
}

/** How a directory takes in what is sent. */
export interface DirectoryOptions {
  /**
   * "copy" (default) merges into what is there; "delete" removes what was not sent, and goes with the exporter's
   * attribute `mode=delete`.
   */
  readonly mode?: "copy" | "delete";
  /** The most bytes of all files together, and the most entries (default: a million), in one stream. */
  readonly maxBytes?: number;
  readonly maxEntries?: number;
}

/** A file that appears when it is complete. `onMetadata` is told what the daemon says of it. */
export function toFile(path: string, onMetadata?: (metadata: ExportMetadata) => void): FileTarget {
  return {
    kind: "file",
    open: async (metadata) => {
      onMetadata?.(metadata);
      return fileSink(path);
    },
  };
}

/** A stream such as stdout, which stays open. */
export function toStream(stream: Writable): FileTarget {
  return { kind: "file", open: () => Promise.resolve(streamSink(stream)) };
}

/** A directory, made where it is missing. Nothing outside of it is ever written or removed. */
export function toDirectory(path: string, options: DirectoryOptions = {}): DirectoryTarget {
  return { kind: "directory", path, ...options };
}

/** Takes in outputs: targets by the index of their exporter in the request. */
export function exportReceiver(targets: Readonly<Record<number, ExportTarget>>): Attachable {
  const byId = new Map(Object.entries(targets));
  return {
    methods: {
      [methodPath(FileSend.method.diffCopy)]: {
        kind: "stream",
        handle(stream) {
          const id = stream.metadata.get(exporterId)?.[0] ?? "0";
          const target = byId.get(id);
          if (target === undefined)
            throw new SessionError(grpcStatus.notFound, `exporter ${id} not found`);
          return target.kind === "file" ? receiveFile(target, stream) : receiveTree(target, stream);
        },
      },
    },
  };
}

async function receiveTree(target: DirectoryTarget, stream: MessageStream): Promise<void> {
  const deleteOthers = target.mode === "delete";
  // Without it each platform comes in a stream of its own, and would remove the others.
  if (deleteOthers && stream.metadata.get(multiPlatform)?.includes("1") !== true) {
    throw new SessionError(
      grpcStatus.failedPrecondition,
      "mode=delete needs a BuildKit that sends all platforms at once (0.31 or later)",
    );
  }
  await receiveDirectory(target.path, stream, {
    deleteOthers,
    maxBytes: target.maxBytes ?? Number.MAX_SAFE_INTEGER,
    maxEntries: target.maxEntries ?? defaultMaxEntries,
    maxNameBytes: defaultMaxNameBytes,
  });
}

/** Values are joined with commas where one key comes several times, as BuildKit's own client does. */
function exportMetadata(metadata: CallMetadata): ExportMetadata {
  const found = [...metadata].filter(([key]) => key.startsWith(metadataPrefix));
  return new Map(
    found.map(([key, values]) => [key.slice(metadataPrefix.length), values.join(",")]),
  );
}

async function receiveFile(target: FileTarget, stream: MessageStream): Promise<void> {
  try {
    const sink = await target.open(exportMetadata(stream.metadata));
    if (sink === undefined)
      throw new SessionError(grpcStatus.alreadyExists, "target already exists");
    await fill(sink, stream);
  } catch (error) {
    if (error instanceof SessionError) throw error;
    if (error instanceof OversizedError) throw frameFault(error);
    if (error instanceof RangeError)
      throw new SessionError(grpcStatus.invalidArgument, error.message);
    const code = errorCode(error);
    const what = code === "" ? "failed" : `failed with ${code}`;
    const status = code === "ENOSPC" ? grpcStatus.resourceExhausted : grpcStatus.aborted;
    throw new SessionError(status, `writing the output file ${what}`);
  }
}

async function fill(sink: FileSink, stream: MessageStream): Promise<void> {
  try {
    let pieces: Buffer[] = [];
    const reader = new BytesMessageReader((piece) => pieces.push(piece));
    await stream.readFrames((chunk) => {
      pieces = [];
      reader.push(chunk);
      return sink.write(pieces);
    });
    if (reader.partial) throw cutOff();
    // A stream that was cut ends like one that is complete, but for the signal.
    if (stream.signal.aborted) throw new SessionError(grpcStatus.aborted, "the builder broke off");
  } catch (error) {
    await sink.abort();
    throw error;
  }
  await sink.finish();
}
