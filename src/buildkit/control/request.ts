// SolveRequest → the message on the wire. Pure.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SolveRequestSchema } from "../../gen/moby/buildkit/v1/control_pb.ts";
import type { SolveRequest, TypedAttrs } from "../client-types.ts";
import { wireSourcePolicy } from "./source-policy.ts";

function entry({ type, attrs }: TypedAttrs): { type: string; attrs: Record<string, string> } {
  return { type, attrs: { ...attrs } };
}

/**
 * Cache imports are told twice: to the solver, and as the attribute `cache-imports` to the frontend, which is
 * what makes a frontend use them (client/solve.go, BuildKit v0.34.2).
 */
export function wireRequest(
  request: SolveRequest,
  session: string,
): MessageInitShape<typeof SolveRequestSchema> {
  const imports = request.cacheImports.map(entry);
  const forFrontend = imports.map(({ type, attrs }) => ({ Type: type, Attrs: attrs }));
  return {
    ref: request.ref,
    session,
    frontend: request.frontend,
    frontendAttrs: {
      ...request.frontendAttrs,
      ...(imports.length === 0 ? {} : { "cache-imports": JSON.stringify(forFrontend) }),
    },
    exporters: request.exporters.map(entry),
    cache: { imports, exports: request.cacheExports.map(entry) },
    entitlements: [...(request.entitlements ?? [])],
    frontendInputs: { ...request.frontendInputs },
    internal: request.internal ?? false,
    enableSessionExporter: request.enableSessionExporter ?? false,
    sourcePolicySession: request.sourcePolicySession === true ? session : "",
    compatibilityVersion: BigInt(request.compatibilityVersion ?? 0),
    proxyNetwork: request.proxyNetwork ?? false,
    definition: request.definition ?? new Uint8Array(),
    ...(request.sourcePolicy === undefined
      ? {}
      : { sourcePolicy: wireSourcePolicy(request.sourcePolicy) }),
  };
}
