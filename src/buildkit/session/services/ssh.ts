// SSH for a build: `RUN --mount=type=ssh` and git over SSH (moby.sshforward.v1.SSH), served from private keys, from
// an agent's socket, or from any socket.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { SSH } from "../../../gen/moby/sshforward/v1/ssh_pb.ts";
import { methodPath } from "../../rpc/channel.ts";
import { SessionError, type Attachable, type MessageStream } from "../attachable.ts";
import { bytesHead, bytesOf } from "../bytes-message.ts";
import { AgentConversation, parsePrivateKey, type AgentKey } from "./ssh-agent.ts";
import { dialSocket, pipe, relayAgent } from "./ssh-socket.ts";
import { unaryMethod } from "../unary.ts";

/** What stands behind one id; paths are those of unix sockets. */
export type SshSource =
  /** Private keys, served by an agent of our own. */
  | readonly (string | Buffer)[]
  /** An ssh-agent that runs already, such as the one of SSH_AUTH_SOCK: a build can list its keys and sign. */
  | { readonly agent: string }
  /** Any service: its bytes are passed through as they are (`raw=true` of buildx). */
  | { readonly raw: string };

/** Sources by the id that a build names; "default" is the one that is used when it names none. */
export type SshKeys = Readonly<Record<string, SshSource>>;

/** One id, ready to serve. */
interface Forward {
  check(signal: AbortSignal): Promise<void>;
  serve(stream: MessageStream): Promise<void>;
}

/**
 * Serves each id as an ssh-agent, or as the socket it stands for. The daemon can sign with keys while the build
 * runs, but never sees them. Throws KilnError User/SshKeyInvalid.
 */
export function sshProvider(sources: SshKeys): Attachable {
  const forwards = new Map(
    Object.entries(sources).map(([id, source]) => [id, forwardOf(source)] as const),
  );
  const forwardFor = (id: string): Forward => {
    const forward = forwards.get(id === "" ? "default" : id);
    if (forward === undefined)
      throw new SessionError(grpcStatus.notFound, `unset ssh forward key ${id}`);
    return forward;
  };
  return {
    methods: {
      ...Object.fromEntries([
        unaryMethod(SSH.method.checkAgent, async ({ id }, signal) => {
          await forwardFor(id).check(signal);
          return {};
        }),
      ]),
      [methodPath(SSH.method.forwardAgent)]: {
        kind: "stream",
        handle: (stream) =>
          forwardFor(stream.metadata.get("buildkit.ssh.id")?.[0] ?? "").serve(stream),
      },
    },
  };
}

function isKeys(source: SshSource): source is readonly (string | Buffer)[] {
  return Array.isArray(source);
}

function forwardOf(source: SshSource): Forward {
  if (isKeys(source)) {
    const keys = source.map(parsePrivateKey);
    return { check: () => Promise.resolve(), serve: (stream) => converse(keys, stream) };
  }
  const path = "agent" in source ? source.agent : source.raw;
  const serve = "agent" in source ? relayAgent : pipe;
  return {
    async check(signal) {
      (await dialSocket(path, signal)).destroy();
    },
    serve: (stream) => serve(path, stream),
  };
}

async function converse(keys: readonly AgentKey[], stream: MessageStream): Promise<void> {
  const conversation = new AgentConversation(keys);
  for await (const message of stream.messages) {
    for (const answer of conversation.push(bytesOf(message))) {
      const full = stream.send(bytesHead(answer.length), answer);
      if (full !== undefined) await full;
    }
  }
}
