// Serves trees to the daemon: moby.filesync.v1.FileSync/DiffCopy, the sending side of fsutil's protocol.
// STAT for every entry, an empty STAT at the end; for each REQ the file's DATA and an empty DATA; FIN for FIN.
import { FileSync } from "../../../gen/moby/filesync/v1/filesync_pb.ts";
import { methodPath } from "../../rpc/channel.ts";
import {
  SessionError,
  type Attachable,
  type CallMetadata,
  type MessageStream,
} from "../attachable.ts";
import {
  dataPacketHead,
  errorPacket,
  finPacket,
  packetType,
  readPacket,
  statPacket,
  type WireStat,
} from "./packets.ts";
import { goMode, type Tree } from "./tree.ts";
import { walk, type Selection, type WalkEntry } from "./walk.ts";

const notFound = 5;
const invalidArgument = 3;
const aborted = 10;
const filesAtOnce = 4;

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
    throw new SessionError(notFound, `no access allowed to dir ${JSON.stringify(name)}`);
  const sender = new Sender(tree, stream);
  try {
    await sender.run(selectionOf(stream.metadata));
  } catch (error) {
    const failure = failureOf(error, name);
    void stream.send(errorPacket(failure.message));
    throw failure;
  }
}

/** What went wrong in words without our paths. */
function failureOf(error: unknown, name: string): SessionError {
  if (error instanceof SessionError) return error;
  if (error instanceof SyntaxError) return new SessionError(invalidArgument, error.message);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOENT")
    return new SessionError(notFound, `local directory ${JSON.stringify(name)} is not there`);
  const what = code === "" ? "failed" : `failed with ${code}`;
  return new SessionError(aborted, `reading local directory ${JSON.stringify(name)} ${what}`);
}

interface WantedFile {
  readonly path: string;
  readonly size: number;
}

class Sender {
  readonly #tree: Tree;
  readonly #stream: MessageStream;
  /** Files that may be asked for, by their number in the list. */
  readonly #files = new Map<number, WantedFile>();
  /** First name of each file that has several. */
  readonly #links = new Map<string, string>();
  readonly #wanted: (WantedFile & { id: number })[] = [];
  readonly #stop = new AbortController();
  #active = 0;
  #failed: ((error: unknown) => void) | undefined;

  constructor(tree: Tree, stream: MessageStream) {
    this.#tree = tree;
    this.#stream = stream;
  }

  async run(selection: Selection): Promise<void> {
    const failure = new Promise<never>((_resolve, reject) => (this.#failed = reject));
    const listing = this.#list(selection);
    listing.catch((error: unknown) => this.#failed?.(error));
    try {
      await Promise.race([this.#receive(), failure]);
      await listing;
    } finally {
      this.#stop.abort();
      failure.catch(() => {});
    }
  }

  async #list(selection: Selection): Promise<void> {
    const signal = AbortSignal.any([this.#stream.signal, this.#stop.signal]);
    let id = 0;
    for await (const entry of walk(this.#tree, selection, signal)) {
      const stat = this.#wireStat(entry);
      if ((stat.mode & goMode.type) === 0 && stat.linkname === "") {
        this.#files.set(id, { path: entry.path, size: stat.size });
      }
      id++;
      const full = this.#stream.send(statPacket(stat));
      if (full !== undefined) await full;
    }
    void this.#stream.send(statPacket());
  }

  /** The first name of a file is sent with its bytes, each later one as a hard link to it. */
  #wireStat({ path, stat }: WalkEntry): WireStat {
    const first = stat.linkKey === undefined ? undefined : this.#links.get(stat.linkKey);
    if (stat.linkKey !== undefined && first === undefined) this.#links.set(stat.linkKey, path);
    return {
      path,
      mode: stat.mode,
      uid: 0,
      gid: 0,
      size: stat.size,
      mtimeNs: stat.mtimeNs,
      linkname: first ?? stat.linkTarget,
      devmajor: stat.device?.major ?? 0,
      devminor: stat.device?.minor ?? 0,
    };
  }

  /** Until the receiver has all that it wants. */
  async #receive(): Promise<void> {
    for await (const message of this.#stream.messages) {
      const packet = readPacket(message);
      switch (packet.type) {
        case packetType.request:
          this.#request(packet.id);
          break;
        case packetType.fin:
          void this.#stream.send(finPacket());
          return;
        case packetType.error:
          throw new SessionError(aborted, `error from receiver: ${packet.data.toString("utf8")}`);
        default:
          throw new SessionError(invalidArgument, `unexpected packet of type ${packet.type}`);
      }
    }
    throw new SessionError(aborted, "the receiver left before it was done");
  }

  /** Only what was listed can be asked for, and only once. */
  #request(id: number): void {
    const file = this.#files.get(id);
    if (file === undefined) throw new SessionError(invalidArgument, `invalid file id ${id}`);
    this.#files.delete(id);
    this.#wanted.push({ id, ...file });
    this.#next();
  }

  #next(): void {
    while (this.#active < filesAtOnce) {
      const wanted = this.#wanted.shift();
      if (wanted === undefined) return;
      this.#active++;
      this.#sendFile(wanted.id, wanted).then(
        () => {
          this.#active--;
          this.#next();
        },
        (error: unknown) => this.#failed?.(error),
      );
    }
  }

  async #sendFile(id: number, { path, size }: WantedFile): Promise<void> {
    for await (const chunk of this.#tree.read(path, size)) {
      if (this.#stop.signal.aborted || this.#stream.signal.aborted) return;
      const full = this.#stream.send(dataPacketHead(id, chunk.length), chunk);
      if (full !== undefined) await full;
    }
    void this.#stream.send(dataPacketHead(id, 0));
  }
}
