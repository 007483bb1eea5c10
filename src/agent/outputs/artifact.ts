// File outputs as an OCI artifact: one layer for an archive, or one for each file, with its path as the title, as
// `oras pull` understands it.
import { KilnError } from "../../errors/index.ts";
import { digestOf } from "../../registry/digest.ts";
import type { BlobUpload, Repository } from "../../registry/push.ts";
import type { Passed, PieceTarget } from "./pieces.ts";

/** A layer of the artifact. */
interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
}

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const emptyType = "application/vnd.oci.empty.v1+json";
const titleKey = "org.opencontainers.image.title";
/** Registries take manifests of up to 4 MiB. */
const maxLayers = 4_000;

/** An artifact that is being put together. */
export interface ArtifactWriter {
  /** A layer; it is part of the artifact once it is finished. */
  layer(title: string, mediaType: string): PieceTarget;
  /** Pushes the manifest and returns its digest. Call it when every layer is finished. */
  finish(): Promise<string>;
}

/** Begins an artifact. `type` says what it is to those who find it. */
export function artifactWriter(
  repository: Repository,
  { type, tag }: { readonly type: string; readonly tag: string },
): ArtifactWriter {
  const layers: Layer[] = [];
  return {
    layer: (title, mediaType) =>
      layerTarget(repository, ({ digest, size }) => {
        if (layers.length === maxLayers) throw tooMany();
        layers.push({ mediaType, digest, size, annotations: { [titleKey]: title } });
      }),
    async finish() {
      const config = Buffer.from("{}");
      const digest = digestOf(config);
      await put(repository, digest, config);
      const empty = { mediaType: emptyType, digest, size: config.length };
      const manifest = {
        schemaVersion: 2,
        mediaType: manifestType,
        artifactType: type,
        config: empty,
        layers: layers.length === 0 ? [empty] : layers,
      };
      return await repository.putManifest(Buffer.from(JSON.stringify(manifest)), manifestType, tag);
    },
  };
}

function tooMany(): KilnError {
  return new KilnError({
    class: "User",
    reason: "OutputTooLarge",
    message: `An artifact has at most ${maxLayers} files: use an output of kind tar, which is one.`,
  });
}

async function put(repository: Repository, digest: string, data: Buffer): Promise<void> {
  if (await repository.has(digest)) return;
  const upload = await repository.upload();
  if (data.length > 0) await upload.write(data);
  await upload.commit(digest);
}

function layerTarget(repository: Repository, onDone: (passed: Passed) => void): PieceTarget {
  let upload: BlobUpload | undefined;
  const write = async (piece: Buffer): Promise<void> => {
    upload ??= await repository.upload();
    await upload.write(piece);
  };
  return {
    write,
    async finish(rest, passed) {
      if (upload === undefined) await put(repository, passed.digest, rest);
      else {
        if (rest.length > 0) await upload.write(rest);
        await upload.commit(passed.digest);
      }
      onDone(passed);
    },
    abort: async () => await upload?.abort(),
  };
}
