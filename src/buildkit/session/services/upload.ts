// A build's context that comes from a stream of ours, such as stdin (moby.upload.v1.Upload): the daemon fetches
// the address http://buildkit-session/<id> from the session instead of the network. A tar, or a bare Dockerfile.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { Upload } from "../../../gen/moby/upload/v1/upload_pb.ts";
import { methodPath } from "../../rpc/channel.ts";
import { SessionError, type Attachable, type MessageStream } from "../attachable.ts";
import { bytesHead } from "../bytes-message.ts";
import { newSessionId } from "../session.ts";

const pieceBytes = 256 * 1024;

/** Streams that a build may fetch, and where. */
export interface Uploads {
  /** One address for each body, in their order: the value of the attribute `context`, or of `context:<name>`. */
  readonly urls: readonly string[];
  readonly attachable: Attachable;
}

/** Serves each body once, as BuildKit's own client does: a second build needs bodies of its own. */
export function uploadProvider(...bodies: readonly AsyncIterable<Uint8Array>[]): Uploads {
  const waiting = new Map(bodies.map((body) => [newSessionId(), body] as const));
  return {
    urls: [...waiting.keys()].map((id) => `http://buildkit-session/${id}`),
    attachable: {
      methods: {
        [methodPath(Upload.method.pull)]: {
          kind: "stream",
          async handle(stream) {
            const id = (stream.metadata.get("urlpath")?.[0] ?? "").split("/").at(-1) ?? "";
            const body = waiting.get(id);
            if (body === undefined)
              throw new SessionError(
                grpcStatus.notFound,
                `no http response from session for ${id}`,
              );
            waiting.delete(id);
            await send(body, stream);
          },
        },
      },
    },
  };
}

async function send(body: AsyncIterable<Uint8Array>, stream: MessageStream): Promise<void> {
  for await (const chunk of body) {
    for (let from = 0; from < chunk.length; from += pieceBytes) {
      if (stream.signal.aborted) return;
      const piece = chunk.subarray(from, from + pieceBytes);
      const full = stream.send(bytesHead(piece.length), piece);
      if (full !== undefined) await full;
    }
  }
}
