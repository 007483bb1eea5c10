// Sources that the agent has a hand in: content of registries that it lends to the daemon as OCI layouts, and a main
// context that is no folder, which frontends take as an input.

import type { SolveRequest, StoreUse } from "../../buildkit/index.ts";
import { type RegistryTrust, trustOf } from "../../registry/authorities.ts";
import { parseReference } from "../../registry/reference.ts";
import type { Materials } from "../agent.ts";
import { sourceDefinition } from "./inputs.ts";
import { artifactOf } from "./marks.ts";
import { registryContent } from "./registry-store.ts";

/** A request with its sources in the words of the daemon. */
export interface OpenedSources {
  readonly request: SolveRequest;
  /** Stores to lend. */
  readonly uses: readonly StoreUse[];
}

/** Whether a request has sources to open. */
export function hasSources({ frontendAttrs }: SolveRequest): boolean {
  const { context = "" } = frontendAttrs;
  if (context.startsWith("docker-image://")) return true;
  return Object.values(frontendAttrs).some((value) => artifactOf(value) !== undefined);
}

/**
 * Opens the sources of a request. Throws KilnError Registry/…, User `ArtifactNotAnImage`, `OciLayoutInvalid`,
 * `InvalidReference`.
 */
export async function openSources(
  request: SolveRequest,
  materials: Pick<Materials, "logins" | keyof RegistryTrust>,
  signal: AbortSignal,
): Promise<OpenedSources> {
  const { logins } = materials;
  const uses: StoreUse[] = [];
  const attrs: Record<string, string> = {};
  for (const [key, value] of Object.entries(request.frontendAttrs)) {
    const artifact = artifactOf(value);
    attrs[key] = value;
    if (artifact === undefined) continue;
    const { ref, insecure } = artifact;
    const access = { logins, signal, ...trustOf(materials, parseReference(ref), insecure) };
    const { digest, store } = await registryContent(ref, access);
    const name = `artifact-${uses.length}`;
    uses.push({ id: `oci:${name}`, store });
    attrs[key] = `oci-layout://${name}@${digest}`;
  }
  return { request: withMainInput({ ...request, frontendAttrs: attrs }), uses };
}

/** The attribute `context` means a folder, git or http; anything else is an input. */
function withMainInput(request: SolveRequest): SolveRequest {
  const { context, ...attrs } = request.frontendAttrs;
  const source = context === undefined ? undefined : sourceOf(context);
  if (source === undefined) return request;
  const definition = sourceDefinition(source);
  const isWithFile = attrs["dockerfilekey"] !== undefined;
  const inputs = { context: definition, ...(isWithFile ? {} : { dockerfile: definition }) };
  return {
    ...request,
    frontendAttrs: attrs,
    frontendInputs: { ...request.frontendInputs, ...inputs },
  };
}

function sourceOf(context: string): Parameters<typeof sourceDefinition>[0] | undefined {
  if (context.startsWith("docker-image://")) return { identifier: context, attrs: {} };
  const [, store, digest] = /^oci-layout:\/\/([^@]+)@(.+)$/.exec(context) ?? [];
  if (store === undefined || digest === undefined) return undefined;
  // The name is for people; the daemon finds the content by the store's.
  return { identifier: `oci-layout://kiln/context@${digest}`, attrs: { "oci.store": store } };
}
