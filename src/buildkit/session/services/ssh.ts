// SSH keys for a build: `RUN --mount=type=ssh` and git over SSH (moby.sshforward.v1.SSH).
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BytesMessageSchema, SSH } from "../../../gen/moby/sshforward/v1/ssh_pb.ts";
import { methodPath } from "../../rpc/channel.ts";
import { SessionError, type Attachable, type MessageStream } from "../attachable.ts";
import { AgentConversation, parsePrivateKey, type AgentKey } from "./ssh-agent.ts";
import { unaryMethod } from "../unary.ts";

const notFound = 5;

/** Private keys by the id that a build names; "default" is the one that is used when it names none. */
export type SshKeys = Readonly<Record<string, readonly (string | Buffer)[]>>;

/**
 * Serves each id as an ssh-agent that holds its keys: the daemon can sign with them while the build runs, but
 * never sees them. Throws KilnError User/SshKeyInvalid.
 */
export function sshProvider(keys: SshKeys): Attachable {
  const agents = new Map(
    Object.entries(keys).map(([id, texts]) => [id, texts.map(parsePrivateKey)] as const),
  );
  const agentOf = (id: string): readonly AgentKey[] => {
    const agent = agents.get(id === "" ? "default" : id);
    if (agent === undefined) throw new SessionError(notFound, `unset ssh forward key ${id}`);
    return agent;
  };
  return {
    methods: {
      ...Object.fromEntries([
        unaryMethod(SSH.method.checkAgent, async ({ id }) => {
          agentOf(id);
          return Promise.resolve({});
        }),
      ]),
      [methodPath(SSH.method.forwardAgent)]: {
        kind: "stream",
        handle: (stream) =>
          converse(agentOf(stream.metadata.get("buildkit.ssh.id")?.[0] ?? ""), stream),
      },
    },
  };
}

async function converse(keys: readonly AgentKey[], stream: MessageStream): Promise<void> {
  const conversation = new AgentConversation(keys);
  for await (const message of stream.messages) {
    for (const answer of conversation.push(fromBinary(BytesMessageSchema, message).data)) {
      const data = Uint8Array.from(answer);
      const full = stream.send(toBinary(BytesMessageSchema, create(BytesMessageSchema, { data })));
      if (full !== undefined) await full;
    }
  }
}
