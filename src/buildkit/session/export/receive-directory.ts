// Takes a tree from the daemon into a directory: the receiving side of fsutil's protocol (receive.go), inside of
// moby.filesync.v1.FileSend/DiffCopy. STATs come in, REQs go out, DATA comes in; when all is on disk: FIN for FIN.
// Directories are made as they are listed; links and devices come last, so that nothing is written past them.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { setImmediate } from "node:timers/promises";
import { onAbort } from "../../rpc/channel.ts";
import { SessionError, type MessageStream } from "../attachable.ts";
import {
  errorPacket,
  finPacket,
  packetType,
  requestPacket,
  type Packet,
  type WireStat,
} from "../filesync/packets.ts";
import { OversizedError } from "../frames.ts";
import { cutOff, frameFault } from "../messages.ts";
import { ConfinedRoot, errorCode } from "./confined.ts";
import {
  createDevice,
  createDirectory,
  createFile,
  createHardLink,
  createSymlink,
  finishDirectory,
  prune,
} from "./entries.ts";
import { Listing, type Entry, type ListingLimits } from "./listing.ts";
import { OpenFiles } from "./open-files.ts";
import { PacketReader } from "./packet-reader.ts";

/** Far more than the sender's queue of 128, and little enough that our requests never fill a window of 64 KiB. */
const requestsAhead = 1024;
const entriesAtOnce = 512;
/** How long a sender may take to leave when it is told of an error. */
const leaveMs = 2_000;

/** What a directory takes in. */
export interface ReceiveOptions extends ListingLimits {
  /** Bytes of all files together. */
  readonly maxBytes: number;
  /** Remove what was not sent. */
  readonly deleteOthers: boolean;
}

/** Receives one tree into `path`. Rejects with SessionError; what is complete by then stays. */
export async function receiveDirectory(
  path: string,
  stream: MessageStream,
  options: ReceiveOptions,
): Promise<void> {
  let receiver: Receiver | undefined;
  try {
    receiver = new Receiver(new ConfinedRoot(path), stream, options);
    await receiver.run();
  } catch (error) {
    const failure = failureOf(error);
    void stream.send(errorPacket(failure.message));
    await left(stream.signal);
    throw failure;
  } finally {
    await receiver?.close();
  }
}

/**
 * Until the sender has left, as it does when it reads our error. The end of the call must not come first: a sender that
 * is just writing would take it for the reason and tell people of an EOF.
 */
async function left(signal: AbortSignal): Promise<void> {
  const gone = Promise.withResolvers<void>();
  const late = setTimeout(gone.resolve, leaveMs);
  const stop = onAbort(signal, gone.resolve);
  await gone.promise;
  clearTimeout(late);
  stop();
}

/** In words without our paths: the daemon keeps them in its history. */
function failureOf(error: unknown): SessionError {
  if (error instanceof SessionError) return error;
  if (error instanceof OversizedError) return frameFault(error);
  if (error instanceof RangeError)
    return new SessionError(grpcStatus.invalidArgument, error.message);
  const code = errorCode(error);
  const what = code === "" ? "failed" : `failed with ${code}`;
  return new SessionError(
    code === "ENOSPC" ? grpcStatus.resourceExhausted : grpcStatus.aborted,
    `writing the output directory ${what}`,
  );
}

class Receiver {
  readonly #root: ConfinedRoot;
  readonly #stream: MessageStream;
  readonly #options: ReceiveOptions;
  readonly #listing: Listing;
  readonly #files: OpenFiles;
  readonly #complete = Promise.withResolvers<void>();
  /** Files that were listed and not asked for yet, by their number in the list. */
  readonly #waiting: { id: number; entry: Entry }[] = [];
  #nextWaiting = 0;
  readonly #directories: Entry[] = [];
  readonly #last: Entry[] = [];
  #nextId = 0;
  #bytes = 0;
  #asked = 0;
  #listed = false;
  #over = false;

  constructor(root: ConfinedRoot, stream: MessageStream, options: ReceiveOptions) {
    this.#root = root;
    this.#stream = stream;
    this.#options = options;
    this.#listing = new Listing(options);
    this.#files = new OpenFiles(
      root,
      () => this.#fileDone(),
      (error) => this.#complete.reject(error),
    );
    this.#complete.promise.catch(() => {}); // `run` may have failed for another reason by then
  }

  async run(): Promise<void> {
    const reading = this.#read();
    await Promise.race([
      this.#complete.promise,
      reading.then(() => {
        throw new SessionError(
          grpcStatus.aborted,
          "the builder left before its files were complete",
        );
      }),
    ]);
    await this.#finish();
    void this.#stream.send(finPacket());
    await reading;
  }

  async close(): Promise<void> {
    this.#over = true;
    await this.#files.discard();
    this.#root.close();
  }

  /** Until the sender is done, or has left. */
  async #read(): Promise<void> {
    const done = Promise.withResolvers<void>();
    const packets = new PacketReader({
      data: (id, bytes) => this.#files.take(id, bytes),
      packet: (packet) => {
        if (this.#handle(packet)) done.resolve();
      },
    });
    const reading = this.#stream.readFrames((chunk) => {
      if (this.#over) return undefined;
      packets.push(chunk);
      this.#ask();
      return this.#files.pressure;
    });
    const left = reading.then(() => {
      if (packets.partial) throw cutOff();
    });
    await Promise.race([done.promise, left]);
  }

  /** true: the sender is done. */
  #handle(packet: Packet): boolean {
    switch (packet.type) {
      case packetType.data:
        this.#files.end(packet.id);
        return false;
      case packetType.stat:
        if (packet.stat === undefined) this.#endList();
        else this.#list(packet.stat);
        return false;
      case packetType.fin:
        this.#over = true;
        return true;
      case packetType.error:
        throw new SessionError(
          grpcStatus.aborted,
          `error from sender: ${packet.data.toString("utf8")}`,
        );
      default:
        throw new SessionError(
          grpcStatus.invalidArgument,
          `unexpected packet of type ${packet.type}`,
        );
    }
  }

  #list(stat: WireStat): void {
    if (this.#listed)
      throw new SessionError(grpcStatus.invalidArgument, "an entry after the end of the list");
    const entry = this.#listing.add(stat);
    const id = this.#nextId++;
    switch (entry.kind) {
      case "directory":
        createDirectory(this.#root, entry.path);
        this.#directories.push(entry);
        return;
      case "file":
        this.#listFile(id, entry);
        return;
      case "hardlink":
      case "symlink":
      case "device":
        this.#last.push(entry);
        return;
      case "other":
        return;
    }
  }

  #listFile(id: number, entry: Entry): void {
    this.#bytes += entry.size;
    if (!(entry.size >= 0 && this.#bytes <= this.#options.maxBytes))
      throw new SessionError(
        grpcStatus.resourceExhausted,
        "the builder sends more bytes than this export may have",
      );
    if (entry.size === 0) createFile(this.#root, entry).finish();
    else this.#waiting.push({ id, entry });
  }

  #endList(): void {
    this.#listed = true;
    this.#settle();
  }

  /** Asks for as many files as may be under way. */
  #ask(): void {
    while (this.#asked < requestsAhead) {
      const next = this.#waiting[this.#nextWaiting];
      if (next === undefined) {
        this.#waiting.length = 0;
        this.#nextWaiting = 0;
        return;
      }
      this.#nextWaiting++;
      this.#asked++;
      this.#files.expect(next.id, next.entry);
      void this.#stream.send(requestPacket(next.id));
    }
  }

  #fileDone(): void {
    this.#asked--;
    this.#settle();
  }

  #settle(): void {
    const waiting = this.#waiting.length - this.#nextWaiting;
    if (this.#listed && this.#asked === 0 && waiting === 0) this.#complete.resolve();
    // A file whose last write lands between two batches must not leave the sender idle.
    else if (waiting > 0 && this.#asked < requestsAhead / 2) this.#ask();
  }

  async #finish(): Promise<void> {
    await this.#each(this.#last, (entry) => this.#makeLast(entry, false));
    await this.#each(this.#last, (entry) => this.#makeLast(entry, true));
    if (this.#options.deleteOthers) {
      const paths = this.#directories.map(({ path }) => path);
      prune(this.#root, paths, this.#listing);
    }
    await this.#each(this.#directories.reverse(), (entry) => finishDirectory(this.#root, entry));
  }

  /** Hard links after everything that they may point to. */
  #makeLast(entry: Entry, links: boolean): Promise<void> | void {
    if ((entry.kind === "hardlink") !== links) return undefined;
    if (entry.kind === "symlink") createSymlink(this.#root, entry);
    else if (entry.kind === "hardlink") createHardLink(this.#root, entry);
    else return createDevice(this.#root, entry);
    return undefined;
  }

  async #each(
    entries: readonly Entry[],
    work: (entry: Entry) => Promise<void> | void,
  ): Promise<void> {
    for (const [index, entry] of entries.entries()) {
      if (index % entriesAtOnce === entriesAtOnce - 1) await setImmediate();
      this.#stream.signal.throwIfAborted();
      const made = work(entry);
      if (made !== undefined) await made;
    }
  }
}
