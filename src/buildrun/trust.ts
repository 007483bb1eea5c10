// Whom does the agent trust of the registries that a job is about? What the run's Secrets say, and what its Builder says.

import { ownRegistries } from "../agent/sources/own-registries.ts";
import type { BuilderRef, Fleet } from "../builder/index.ts";
import type { SolveRequest } from "../buildkit/index.ts";
import { KilnError } from "../errors/index.ts";
import { type RegistryTrust, trustOfBoth } from "../registry/authorities.ts";
import type { Credentials } from "./credentials.ts";

/**
 * Of the registries that the agent itself asks, and of those that it gets tokens from. Throws as `Fleet.registries` for the
 * first; of the others what can't be read is left out, for then the daemon gets its tokens itself.
 */
export async function registryTrust(
  { ref, request }: { readonly ref: BuilderRef; readonly request: Omit<SolveRequest, "ref"> },
  credentials: Pick<Credentials, "logins" | "authorities">,
  fleet: Pick<Fleet, "registries">,
  signal: AbortSignal,
): Promise<Required<RegistryTrust>> {
  const asked = ownRegistries(request);
  const hosts = [...credentials.logins.keys()].map((key) => key.split("/")[0] ?? "");
  const others = new Set(hosts.filter((host) => !asked.has(host)));
  const [needed, useful] = await Promise.all([
    fleet.registries(ref, asked, signal),
    fleet.registries(ref, others, signal).catch(unlessFault),
  ]);
  return trustOfBoth(credentials, trustOfBoth(needed, useful));
}

function unlessFault(error: unknown): RegistryTrust {
  if (error instanceof KilnError) return {};
  throw error;
}
