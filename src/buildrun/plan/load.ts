// Results for the Docker engine behind a builder: `docker.to.engine`, and what a Builder with `defaultLoad` makes of a run
// without outputs, as buildx does (docs.docker.com/build/builders/drivers, "Load by default"). Pure.

import { isForEngine, type OutputPlace, placeAttr } from "../../agent/outputs/places.ts";
import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import type { SolveRequest } from "../../buildkit/index.ts";
import type { Instance } from "../../builder/index.ts";

type Request = Omit<SolveRequest, "ref">;

const place = { kind: "engine" } satisfies OutputPlace;
const engineDest = JSON.stringify(place);

/** Whether the result of a run has nowhere to go but an engine, on a Builder that wants it there. */
export function isLoadedByDefault(request: Request, spec: BuilderSpec | undefined): boolean {
  const isQuestion = request.frontendAttrs["requestid"] !== undefined;
  return spec?.defaultLoad === true && request.exporters.length === 0 && !isQuestion;
}

/** Whether something has to be loaded. */
export function isLoading(request: Request, spec: BuilderSpec | undefined): boolean {
  return request.exporters.some(isForEngine) || isLoadedByDefault(request, spec);
}

/** Whether some node of a Builder has an engine. */
export function hasEngine(spec: BuilderSpec): boolean {
  return [spec, ...spec.nodes].some(
    ({ docker, dockerContainer }) => docker !== undefined || dockerContainer !== undefined,
  );
}

/** The request as an instance takes it that is no engine itself. */
export function withDefaultLoad(
  request: Request,
  spec: BuilderSpec | undefined,
  { loads }: Pick<Instance, "loads">,
): Request {
  if (loads !== true || !isLoadedByDefault(request, spec)) return request;
  return { ...request, exporters: [{ type: "docker", attrs: { [placeAttr]: engineDest } }] };
}
