// A receiver of a sync in this process: what it was sent, packet by packet, and when it takes it. Does not honour:
// anything of HTTP/2; it reads as fast as it is told to.
import { filesync } from "../../../../src/buildkit/session/filesync/send.ts";
import type { MessageStream } from "../../../../src/buildkit/session/attachable.ts";
import {
  finPacket,
  packetType,
  readPacket,
  requestPacket,
  type Packet,
  type WireStat,
} from "../../../../src/buildkit/session/filesync/packets.ts";
import type { Tree } from "../../../../src/buildkit/session/filesync/tree.ts";
import { FrameReader } from "../../../../src/buildkit/session/frames.ts";

/** How a receiver behaves. */
export interface Behaviour {
  readonly metadata?: Readonly<Record<string, readonly string[]>>;
  /** Which files it asks for; default: all that have bytes of their own. */
  readonly wants?: (stat: WireStat, id: number) => boolean;
  /** Whether it says FIN when it has all; default true. */
  readonly finishes?: boolean;
  /** Waits before it takes more; default: takes everything at once. */
  readonly pace?: () => Promise<void> | undefined;
  /** Called for each packet before it is dealt with. */
  readonly onPacket?: (packet: Packet, receiver: Receiver) => void;
}

/** What a sync came to. */
export interface Received {
  readonly stats: WireStat[];
  /** Bytes by path, of files that were asked for and are complete. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly packets: number;
  /** Messages of ERR packets. */
  readonly errors: string[];
}

/** The daemon's side. */
export class Receiver {
  readonly stats: WireStat[] = [];
  readonly files = new Map<string, Buffer>();
  readonly errors: string[] = [];
  packets = 0;
  readonly #behaviour: Behaviour;
  readonly #gone = new AbortController();
  readonly #frames = new FrameReader();
  readonly #parts = new Map<number, Buffer[]>();
  readonly #outgoing: Buffer[] = [];
  #wake: (() => void) | undefined;
  #listed = false;
  #closed = false;

  constructor(behaviour: Behaviour) {
    this.#behaviour = behaviour;
  }

  get stream(): MessageStream {
    const send = (...parts: Uint8Array[]): Promise<void> | undefined => {
      this.#take(Buffer.concat(parts));
      return this.#behaviour.pace?.();
    };
    return {
      metadata: new Map(Object.entries({ "dir-name": ["context"], ...this.#behaviour.metadata })),
      signal: this.#gone.signal,
      messages: this.#messages(),
      batches: this.#batches(),
      readFrames: () => Promise.reject(new TypeError("requests are read as messages")),
      send,
      sendFrames: (frames) => {
        for (const message of this.#frames.push(Buffer.from(frames))) this.#take(message);
        return this.#behaviour.pace?.();
      },
    };
  }

  /** Sends a packet to the sender. */
  tell(packet: Buffer): void {
    this.#outgoing.push(packet);
    this.#wake?.();
  }

  /** Ends the call without a word. */
  leave(): void {
    this.#closed = true;
    this.#gone.abort();
    this.#wake?.();
  }

  async *#batches(): AsyncGenerator<readonly Buffer[], void, undefined> {
    while (!this.#closed) {
      if (this.#outgoing.length > 0) yield this.#outgoing.splice(0);
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async *#messages(): AsyncGenerator<Buffer, void, undefined> {
    for await (const batch of this.#batches()) yield* batch;
  }

  #take(message: Buffer): void {
    const packet = readPacket(message);
    this.packets++;
    this.#behaviour.onPacket?.(packet, this);
    if (packet.type === packetType.error) this.errors.push(packet.data.toString());
    else if (packet.type === packetType.data) this.#data(packet);
    else if (packet.type === packetType.stat) this.#stat(packet.stat);
    if (
      this.#behaviour.finishes !== false &&
      this.#listed &&
      this.#parts.size === 0 &&
      packet.type !== packetType.fin
    ) {
      this.#listed = false;
      this.tell(finPacket());
    }
  }

  #stat(stat: WireStat | undefined): void {
    if (stat === undefined) {
      this.#listed = true;
      return;
    }
    const id = this.stats.push(stat) - 1;
    const hasBytes = (stat.mode & 0x8f280000) === 0 && stat.linkname === "";
    if (!(this.#behaviour.wants?.(stat, id) ?? hasBytes)) return;
    this.#parts.set(id, []);
    this.tell(requestPacket(id));
  }

  #data({ id, data }: Packet): void {
    const parts = this.#parts.get(id);
    if (parts === undefined) throw new Error(`data for ${id}, which nobody asked for`);
    if (data.length > 0) {
      parts.push(Buffer.from(data));
      return;
    }
    this.#parts.delete(id);
    this.files.set(this.stats[id]?.path ?? "", Buffer.concat(parts));
  }
}

/** Syncs a tree to a receiver. Rejects as the sender's method does. */
export async function receive(tree: Tree, behaviour: Behaviour = {}): Promise<Received> {
  const receiver = new Receiver(behaviour);
  await serve(tree, receiver);
  return receiver;
}

/** Runs the sender's method on a receiver. */
export async function serve(tree: Tree, receiver: Receiver): Promise<void> {
  const method = filesync({ context: tree }).methods["/moby.filesync.v1.FileSync/DiffCopy"];
  if (method?.kind !== "stream") throw new Error("no such method");
  await method.handle(receiver.stream);
}
