// In which form does the engine behind a daemon take an image? An OCI layout keeps several platforms and attestations, but
// only engines with containerd's image store take one: as buildx does for --load (v0.38, build/opt.go).
import type { SolveRequest } from "../../../buildkit/index.ts";
import type { EngineStore } from "../../agent.ts";
import { isForEngine } from "../places.ts";

/** The request with outputs for the engine in the best form that it takes. Throws as `EngineStore.takesOci`. */
export async function inFormOf(
  engine: EngineStore | undefined,
  request: SolveRequest,
  signal: AbortSignal,
): Promise<SolveRequest> {
  if (!request.exporters.some(isForEngine)) return request;
  if ((await engine?.takesOci(signal)) !== true) return request;
  const exporters = request.exporters.map((entry) =>
    isForEngine(entry)
      ? { type: "oci", attrs: { ...entry.attrs, "prefer-image-digest": "true" } }
      : entry,
  );
  return { ...request, exporters };
}
