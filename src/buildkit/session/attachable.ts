// What a session can offer to the daemon: gRPC methods by path. Each service of ours is one attachable.

/** Metadata of a call, names in lower case; a repeated key keeps its values apart and in order. */
export type CallMetadata = ReadonlyMap<string, readonly string[]>;

/** One call with one message each way. Bytes are protobuf messages. */
export interface UnaryMethod {
  readonly kind: "unary";
  /** Rejects with SessionError to answer a gRPC status; anything else becomes INTERNAL. */
  handle(request: Uint8Array, metadata: CallMetadata, signal: AbortSignal): Promise<Uint8Array>;
}

/** Takes a chunk that is there during the call only. A promise: the chunk is not dealt with before it resolves. */
export type FrameTaker = (chunk: Buffer) => Promise<void> | undefined;

/** The stream of one bidirectional call. */
export interface MessageStream {
  readonly metadata: CallMetadata;
  /** Aborts when the daemon ends the call or the session ends. */
  readonly signal: AbortSignal;
  /** Messages of the daemon, until it half-closes. */
  readonly messages: AsyncIterable<Buffer>;
  /** The same, with the messages that came in together in one array. */
  readonly batches: AsyncIterable<readonly Buffer[]>;
  /**
   * Reads the same as bytes, messages in their gRPC frames and in any pieces, for bulk that is not worth a buffer a
   * message. The daemon's credit waits for what `take` waits for, so that no more than a window (16 MiB) comes meanwhile.
   * Resolves when the daemon half-closes; rejects with what `take` fails with, or as `messages` does. A call is read
   * in one of the three ways, once.
   */
  readFrames(take: FrameTaker): Promise<void>;
  /**
   * Sends one message. Undefined: go on; a promise: wait for it, the daemon reads slower than we write.
   * `parts` are the message's bytes in pieces, so that big payloads are not copied.
   */
  send(...parts: Uint8Array[]): Promise<void> | undefined;
  /** Sends whole messages that stand in their gRPC frames already (5-byte heads and all), many at once; as `send`. */
  sendFrames(frames: Uint8Array): Promise<void> | undefined;
}

/** A bidirectional call. Resolving ends it with status OK. */
export interface StreamMethod {
  readonly kind: "stream";
  handle(stream: MessageStream): Promise<void>;
}

/** Something that the daemon may call during a solve. */
export interface Attachable {
  /** "/package.Service/Method" → how it is answered. Announced to the daemon when the session opens. */
  readonly methods: Readonly<Record<string, UnaryMethod | StreamMethod>>;
}

/** A gRPC status as the answer of a session method. The message reaches the person who builds. */
export class SessionError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "SessionError";
    this.code = code;
  }
}

/** Merges attachables into one table of methods; throws TypeError when two offer the same method. */
export function methodTable(
  attachables: readonly Attachable[],
): ReadonlyMap<string, UnaryMethod | StreamMethod> {
  const table = new Map<string, UnaryMethod | StreamMethod>();
  for (const [path, method] of attachables.flatMap(({ methods }) => Object.entries(methods))) {
    if (table.has(path)) throw new TypeError(`two attachables offer ${path}`);
    table.set(path, method);
  }
  return table;
}
