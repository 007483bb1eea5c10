// Build secrets, handed out when a step asks for them (moby.buildkit.secrets.v1).
import { grpcStatus } from "../../errors/grpc-status.ts";
import { Secrets } from "../../../gen/moby/buildkit/secrets/v1/secrets_pb.ts";
import { SessionError, type Attachable } from "../attachable.ts";
import { unaryMethod } from "../unary.ts";

/** The most that BuildKit takes as one secret (session/secrets/secretsprovider, v0.34.2). */
export const maxSecretBytes = 500 * 1024;

/** Answers a secret's id with its bytes; undefined when there is none. Called each time a step asks. */
export type SecretLookup = (id: string, signal: AbortSignal) => Promise<Uint8Array | undefined>;

/** Serves secrets. A missing one is NOT_FOUND: the daemon fails the step if it is required. */
export function secretsProvider(lookup: SecretLookup): Attachable {
  const getSecret = unaryMethod(Secrets.method.getSecret, async ({ id }, signal) => {
    const data = await lookup(id, signal);
    if (data === undefined) throw new SessionError(grpcStatus.notFound, `secret ${id}: not found`);
    if (data.length > maxSecretBytes) {
      throw new SessionError(
        grpcStatus.invalidArgument,
        `secret ${id} has ${data.length} bytes; BuildKit takes at most ${maxSecretBytes}`,
      );
    }
    return { data: Uint8Array.from(data) };
  });
  return { methods: Object.fromEntries([getSecret]) };
}
