// In which form does the engine behind a daemon take an image? An OCI layout keeps several platforms and attestations, but
// only engines with containerd's image store take one: as buildx does for --load (v0.38, build/opt.go).
import type { SolveRequest } from "../../../buildkit/index.ts";
import type { EngineStore } from "../../agent.ts";
import { placeAttr, placeOf } from "../places.ts";

/** The request with outputs for the engine in the best form that it takes. Throws as `EngineStore.takesOci`. */
export async function inFormOf(
  engine: EngineStore | undefined,
  request: SolveRequest,
  signal: AbortSignal,
): Promise<SolveRequest> {
  const isForEngine = ({ [placeAttr]: dest }: Readonly<Record<string, string>>): boolean =>
    dest !== undefined && placeOf(dest).kind === "engine";
  if (!request.exporters.some(({ attrs }) => isForEngine(attrs))) return request;
  if ((await engine?.takesOci(signal)) !== true) return request;
  const exporters = request.exporters.map((entry) =>
    isForEngine(entry.attrs)
      ? { type: "oci", attrs: { ...entry.attrs, "prefer-image-digest": "true" } }
      : entry,
  );
  return { ...request, exporters };
}
