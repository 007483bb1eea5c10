// What holds a Builder that is deleted while its instances have runs? A finalizer, there only as long as they do: an idle
// Builder never hangs, not even without Kiln.

import type { KubeClient } from "../../kube/client.ts";
import { changedFinalizers } from "../../kube/object.ts";
import { builderTypeOf, cacheOf, type BuilderCaches } from "../caches.ts";
import { runsFinalizer } from "../names.ts";
import type { BuilderWorld } from "../reconcile/world.ts";

/** What holding needs. */
export interface HoldDeps {
  readonly client: Pick<KubeClient, "setFinalizers">;
  readonly caches: BuilderCaches;
}

/** Puts the finalizer on, or takes it off. One that is being deleted gets none. */
export async function holdWhileBusy(
  { ref, object }: Pick<BuilderWorld, "ref" | "object">,
  isBusy: boolean,
  { client, caches }: HoldDeps,
  signal: AbortSignal,
): Promise<void> {
  const next = changedFinalizers(object, runsFinalizer, isBusy);
  if (next === undefined || (isBusy && object.metadata.deletionTimestamp !== undefined)) return;
  const updated = await client.setFinalizers(builderTypeOf(ref), object, next, signal);
  if (updated !== undefined) cacheOf(ref, caches).wrote(updated);
}
