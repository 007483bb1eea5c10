// A job's request as the daemon is asked: secrets in place, and what the agent itself is the client of: local caches,
// and the places of file outputs.

import {
  type Attachable,
  type BuildkitClient,
  contentProvider,
  type SolveRequest,
  type SolveResult,
  type StoreUse,
} from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import type { Job, Materials, SolveFacts } from "../agent.ts";
import { attachablesOf } from "./attachables.ts";
import { withHidden } from "./hidden-attrs.ts";
import { hasLocalCaches, type LocalCaches, localCaches } from "./local-caches.ts";
import { dockerfileFrom } from "../sources/dockerfile.ts";
import { dockerfileAttr } from "../sources/marks.ts";
import { hasSources, openSources } from "../sources/sources.ts";
import { inFormOf } from "../outputs/engine/format.ts";
import { type FileOutputs, fileOutputs, hasFileOutputs } from "../outputs/targets.ts";

/** What one job sends, and what it leaves. */
export interface JobRequest {
  readonly request: SolveRequest;
  readonly attachables: readonly Attachable[];
  /** Completes what the solve wrote. Call it after one that ended well. */
  afterSolve(result: SolveResult): Promise<Pick<SolveFacts, "files">>;
  /** Why it failed, in our words where the daemon heard only that it did. */
  causeOf(error: unknown): unknown;
}

/** What a request is made with. */
export interface JobSurroundings {
  readonly client: BuildkitClient;
  /** Folder of local caches. */
  readonly caches: string | undefined;
  readonly signal: AbortSignal;
}

/** Throws `KilnError` User for a cache or a place that this agent does not have, or a source that it can not open. */
export async function jobRequest(
  job: Job,
  materials: Materials,
  { client, caches: folder, signal }: JobSurroundings,
): Promise<JobRequest> {
  let request = withHidden(job.request, materials.hidden);
  const uses: StoreUse[] = [];
  let caches: LocalCaches | undefined;
  if (hasLocalCaches(request)) {
    caches = await localCaches(request, folder);
    request = caches.request;
    uses.push(...caches.uses);
  }
  if (hasSources(request)) {
    const sources = await openSources(request, materials, signal);
    request = sources.request;
    uses.push(...sources.uses);
  }
  const stores = uses.length === 0 ? [] : [contentProvider(...uses)];
  const offer = (trees: Materials["trees"]) => [
    ...attachablesOf({ ...materials, trees }),
    ...stores,
  ];
  let { trees } = materials;
  if (dockerfileAttr in request.frontendAttrs) {
    const read = await dockerfileFrom(request, { client, signal, offer });
    trees = new Map([...trees, ["dockerfile", read]]);
    request = withoutMark(request);
  }
  const attachables = offer(trees);
  let files: FileOutputs | undefined;
  if (hasFileOutputs(request)) {
    request = await inFormOf(materials.engine, request, signal);
    files = fileOutputs(request, materials, signal);
    request = files.request;
    attachables.push(...files.attachables);
  }
  return {
    request,
    attachables,
    async afterSolve(result) {
      await caches?.afterSolve(result);
      return files === undefined ? {} : { files: files.facts() };
    },
    causeOf(error) {
      const own = files?.failure();
      return own instanceof KilnError ? own : error;
    },
  };
}

/** What was read is a folder of its own: its path in the context does not matter any more. */
function withoutMark(request: SolveRequest): SolveRequest {
  const { [dockerfileAttr]: _, ...attrs } = request.frontendAttrs;
  const filename = (attrs["filename"] ?? "Dockerfile").split("/").at(-1) ?? "Dockerfile";
  return { ...request, frontendAttrs: { ...attrs, filename } };
}
