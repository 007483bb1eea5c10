// A job's request as the daemon is asked: secrets in place, and what the agent itself is the client of: local caches,
// and the places of file outputs.

import type { Attachable, SolveRequest, SolveResult } from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import type { Job, Materials, SolveFacts } from "../agent.ts";
import { attachablesOf } from "./attachables.ts";
import { withHidden } from "./hidden-attrs.ts";
import { hasLocalCaches, type LocalCaches, localCaches } from "./local-caches.ts";
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

/** Throws `KilnError` User for a cache or a place that this agent does not have. */
export async function jobRequest(
  job: Job,
  materials: Materials,
  o: { readonly caches: string | undefined; readonly signal: AbortSignal },
): Promise<JobRequest> {
  let request = withHidden(job.request, materials.hidden);
  const attachables = [...attachablesOf(materials)];
  let caches: LocalCaches | undefined;
  if (hasLocalCaches(request)) {
    caches = await localCaches(request, o.caches);
    request = caches.request;
    attachables.push(...caches.attachables);
  }
  let files: FileOutputs | undefined;
  if (hasFileOutputs(request)) {
    files = fileOutputs(request, materials, o.signal);
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
