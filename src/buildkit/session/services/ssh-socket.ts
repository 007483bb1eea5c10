// A socket of this machine for a build: an ssh-agent's, with only its harmless requests let through, or any
// service's, byte for byte. Paths are the caller's; the daemon only names their ids.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { connect, type Socket } from "node:net";
import { SessionError, type MessageStream } from "../attachable.ts";
import { bytesHead, bytesOf } from "../bytes-message.ts";
import { AgentFrames, agentFailure, agentFrame, forwardable } from "./ssh-agent.ts";

const connectMs = 5_000;

/** Connects to a unix socket. Rejects with SessionError UNAVAILABLE, which does not tell the path. */
export async function dialSocket(path: string, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ path });
  const late = AbortSignal.any([signal, AbortSignal.timeout(connectMs)]);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve).once("error", reject);
      late.addEventListener("abort", () => reject(new Error("no answer")), { once: true });
    });
  } catch (error) {
    socket.destroy();
    const code = error instanceof Error && "code" in error ? String(error.code) : "no answer";
    throw new SessionError(
      grpcStatus.unavailable,
      `the socket behind this ssh id does not answer: ${code}`,
    );
  }
  socket.on("error", () => {}); // "close" tells
  return socket;
}

function say(stream: MessageStream, data: Uint8Array): Promise<void> | undefined {
  return stream.send(bytesHead(data.length), data);
}

/** Pipes until the socket is done. The daemon's half-close is passed on: what comes back after it still counts. */
export async function pipe(path: string, stream: MessageStream): Promise<void> {
  const socket = await dialSocket(path, stream.signal);
  const gone = (): void => void socket.destroy();
  stream.signal.addEventListener("abort", gone, { once: true });
  incoming(socket, stream).catch(gone);
  try {
    for await (const chunk of socket) {
      const full = say(stream, chunk as Buffer);
      if (full !== undefined) await full;
    }
  } finally {
    stream.signal.removeEventListener("abort", gone);
    socket.destroy();
  }
}

async function incoming(socket: Socket, stream: MessageStream): Promise<void> {
  for await (const batch of stream.batches) {
    if (!socket.write(Buffer.concat(batch.map(bytesOf)))) await drained(socket);
    if (socket.destroyed) return;
  }
  socket.end();
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
    if (socket.destroyed) done();
  });
}

/** Lets a build list the agent's keys and sign with them, and nothing else. One request at a time, as agents work. */
export async function relayAgent(path: string, stream: MessageStream): Promise<void> {
  const requests = new AgentFrames();
  const socket = await dialSocket(path, stream.signal);
  const gone = (): void => void socket.destroy();
  stream.signal.addEventListener("abort", gone, { once: true });
  try {
    const answers = answersOf(socket);
    for await (const message of stream.messages) {
      for (const request of requests.push(bytesOf(message))) {
        const full = say(stream, await ask(request, socket, answers));
        if (full !== undefined) await full;
      }
    }
  } finally {
    stream.signal.removeEventListener("abort", gone);
    socket.destroy();
  }
}

async function ask(
  request: Buffer,
  socket: Socket,
  answers: AsyncIterator<Buffer>,
): Promise<Buffer> {
  const allowed = forwardable(request);
  if (allowed === undefined) return agentFailure();
  socket.write(allowed);
  const { done, value } = await answers.next();
  if (done === true)
    throw new SessionError(grpcStatus.unavailable, "the ssh agent closed its socket");
  return agentFrame(value);
}

async function* answersOf(socket: Socket): AsyncGenerator<Buffer, void, undefined> {
  const frames = new AgentFrames();
  for await (const chunk of socket) yield* frames.push(chunk as Buffer);
}
