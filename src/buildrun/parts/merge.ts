// One index of the images that parts have pushed: read and written in their registry, with the logins of the run.

import type { ImageFacts, SolveFacts } from "../../agent/agent.ts";
import type { FileFacts } from "../../agent/outputs/places.ts";
import type { BuildRun, ImageOutput } from "../../api/v1alpha1/index.ts";
import type { Fleet } from "../../builder/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { trustOf, trustOfBoth } from "../../registry/authorities.ts";
import type { ReadOptions } from "../../registry/reading.ts";
import { mergeImages, type IndexAnnotations } from "../../registry/merge.ts";
import { type ImageReference, parseReference, withDefaultTag } from "../../registry/reference.ts";
import { accountOf, readCredentials } from "../credentials.ts";
import { noNeeds } from "../plan/needs.ts";
import type { RunWorld } from "../reconcile/world.ts";
import type { PartView } from "./decide-parts.ts";

/** How the merge reaches the cluster. */
export interface MergeSources {
  readonly client: KubeClient;
  readonly fleet: Pick<Fleet, "registries">;
  readonly signal: AbortSignal;
}

const deadlineMs = 60_000;

/**
 * Merges every output of the run. Throws KilnError Registry/…, or that of a Secret, of the run or of its Builder, that
 * can not be read; of class Infra, `Unexpected`, when a part has no digest.
 */
export async function mergeParts(
  { run, builder, plan }: RunWorld,
  parts: readonly PartView[],
  { client, fleet, signal }: MergeSources,
): Promise<SolveFacts> {
  if (!("request" in plan) || run.spec.outputs.length === 0) return { images: [], baseImages: [] };
  const { registryCredentials } = plan.needs;
  const needs = { ...noNeeds, registryCredentials };
  const [{ logins, ...own }, registries] = await Promise.all([
    readCredentials(needs, accountOf(run), client, signal),
    builder && fleet.registries(builder.ref, taggedRegistries(run), signal),
  ]);
  const trust = trustOfBoth(own, registries ?? {});
  const limit = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
  const images: ImageFacts[] = [];
  const files: FileFacts[] = [];
  for (const [index, { image }] of run.spec.outputs.entries()) {
    if (image === undefined) {
      files.push(...parts.flatMap((part) => partFiles(part, index)));
      continue;
    }
    const made = parts.map((part) => partImage(part, index));
    const read = (domain: string): ReadOptions => {
      return { logins, signal: limit, ...trustOf(trust, { domain }, image.insecure) };
    };
    images.push(...(await mergeOutput(image, made, read)));
  }
  return { images, baseImages: [], ...(files.length > 0 && { files }) };
}

/** What a part left of an output of files, in a place of its own. */
function partFiles({ found }: PartView, exporter: number): FileFacts[] {
  const files = found?.status?.outputs?.[exporter]?.files;
  if (files === undefined) return [];
  const { location, size = 0, digest, files: count, skipped } = files;
  const told = { digest, files: count, skipped };
  const known = Object.entries(told).filter(([, value]) => value !== undefined);
  return [{ exporter, location, size, ...Object.fromEntries(known) }];
}

/** Hosts of the registries that images go to. */
function taggedRegistries({ spec }: BuildRun): Set<string> {
  const tags = spec.outputs.flatMap(({ image }) => image?.tags ?? []);
  return new Set(tags.map((tag) => parseReference(tag).domain));
}

/** Every repository of an output gets the index, and it is the same in each. */
async function mergeOutput(
  image: ImageOutput,
  made: readonly PartImage[],
  read: (domain: string) => ReadOptions,
): Promise<readonly ImageFacts[]> {
  const tags = image.tags.map((tag) => withDefaultTag(parseReference(tag)));
  const parts = made.map(({ digest, platform }) => ({ digest, platform }));
  const annotations = annotationsOf(image);
  let facts: ImageFacts | undefined;
  for (const group of byRepository(tags)) {
    const options = read(group[0]?.domain ?? "");
    const merge = { tags: group, parts, annotations, byDigest: image.pushByDigest };
    const merged = await mergeImages(merge, options);
    facts ??= factsOf(merged, made, image.pushByDigest ? [] : image.tags);
  }
  return facts === undefined ? [] : [facts];
}

interface PartImage {
  readonly digest: string;
  readonly platform: string;
  readonly platforms: NonNullable<ImageFacts["platforms"]>;
  readonly attestations: NonNullable<ImageFacts["attestations"]>;
}

function partImage({ found, platforms: [platform = ""] }: PartView, index: number): PartImage {
  const image = found?.status?.outputs?.[index]?.image;
  if (image === undefined) throw new Error(`part ${platform} has no image ${index}`);
  return {
    digest: image.digest,
    platform,
    platforms: (image.platforms ?? []).map(({ size, ...rest }) => ({
      ...rest,
      ...(size === undefined ? {} : { size }),
    })),
    attestations: (image.attestations ?? []).map(({ platform: about, ...rest }) => ({
      ...rest,
      ...(about === undefined ? {} : { platform: about }),
    })),
  };
}

function byRepository(tags: readonly ImageReference[]): readonly (readonly ImageReference[])[] {
  const groups = new Map<string, ImageReference[]>();
  for (const tag of tags) {
    const key = `${tag.domain}/${tag.repository}`;
    groups.set(key, [...(groups.get(key) ?? []), tag]);
  }
  return [...groups.values()];
}

function annotationsOf({ annotations }: ImageOutput): IndexAnnotations {
  const of = (level: string, platform?: string): Record<string, string> =>
    Object.fromEntries(
      annotations
        .filter((one) => one.level === level)
        .filter((one) => one.platform === undefined || one.platform === platform)
        .map(({ name, value }) => [name, value]),
    );
  const index = of("index");
  return {
    ...(Object.keys(index).length === 0 ? {} : { index }),
    descriptor: (platform) => of("manifest-descriptor", platform),
  };
}

function factsOf(
  { digest, size }: { readonly digest: string; readonly size: number },
  parts: readonly PartImage[],
  tags: readonly string[],
): ImageFacts {
  const platforms = parts.flatMap((part) => part.platforms);
  const attestations = parts.flatMap((part) => part.attestations);
  const complete = platforms.every((one) => one.size !== undefined);
  const bytes = platforms.reduce((sum, one) => sum + (one.size ?? 0), size);
  return {
    digest,
    platforms,
    ...(complete ? { size: bytes } : {}),
    ...(attestations.length === 0 ? {} : { attestations }),
    readBack: tags.map((tag) => ({ tag, digest })),
  };
}
