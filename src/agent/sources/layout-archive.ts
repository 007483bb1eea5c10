// An OCI layout inside a tar archive that is somewhere else: only its headers are read, to know where each blob is.

import { KilnError } from "../../errors/index.ts";
import { blockBytes, headerOf, type TarHeader } from "../outputs/tar-header.ts";

/** The blobs of a layout. */
export interface LayoutArchive {
  /** Of the one image that index.json names, or of the one named latest: `sha256:<hex>`. */
  readonly digest: string;
  size(digest: string): Promise<number | undefined>;
  read(digest: string, from: number, length: number): Promise<Buffer>;
}

type ReadAt = (from: number, length: number) => Promise<Buffer>;

interface Extent {
  readonly from: number;
  readonly size: number;
}

/** Headers are read in windows: the small files of a layout are between them. */
const windowBytes = 64 * 1024;
const maxEntries = 100_000;
const maxIndexBytes = 4 * 1024 * 1024;

/** Finds the blobs. Throws KilnError User `OciLayoutInvalid`, and what `read` throws. */
export async function layoutArchive(read: ReadAt): Promise<LayoutArchive> {
  const files = await extents(windowed(read));
  const index = files.get("index.json");
  if (index === undefined || index.size > maxIndexBytes) throw invalid("it has no index.json");
  const digest = imageIn((await read(index.from, index.size)).toString("utf8"));
  const blob = (wanted: string): Extent | undefined =>
    files.get(`blobs/${wanted.replace(":", "/")}`);
  if (blob(digest) === undefined) throw invalid("it lacks the image that its index names");
  return {
    digest,
    size: (wanted) => Promise.resolve(blob(wanted)?.size),
    async read(wanted, from, length) {
      const { from: begin, size } = blob(wanted) ?? { from: 0, size: 0 };
      const left = Math.max(0, Math.min(length, size - from));
      return left === 0 ? Buffer.alloc(0) : await read(begin + from, left);
    },
  };
}

function invalid(what: string, cause?: unknown): KilnError {
  return new KilnError({
    class: "User",
    reason: "OciLayoutInvalid",
    message: `The archive of an OCI layout is damaged: ${what}. Make it anew.`,
    cause,
  });
}

function imageIn(text: string): string {
  const name = "org.opencontainers.image.ref.name";
  type Entry = { digest?: string; annotations?: Record<string, string> };
  const { manifests = [] } = JSON.parse(text) as { manifests?: readonly Entry[] };
  const latest = manifests.find(({ annotations }) => annotations?.[name] === "latest");
  const { digest } = latest ?? manifests[0] ?? {};
  if (digest === undefined || !/^sha256:[0-9a-f]{64}$/.test(digest))
    throw invalid("its index names no image");
  return digest;
}

function windowed(read: ReadAt): ReadAt {
  let at = 0;
  let window: Buffer = Buffer.alloc(0);
  return async (from, length) => {
    if (from < at || from + length > at + window.length) {
      window = await read(from, windowBytes);
      at = from;
    }
    return window.subarray(from - at, from - at + length);
  };
}

async function extents(read: ReadAt): Promise<Map<string, Extent>> {
  const files = new Map<string, Extent>();
  for (let at = 0, count = 0; count < maxEntries; count += 1) {
    const header = await read(at, blockBytes);
    if (header.length < blockBytes || header.every((byte) => byte === 0)) return files;
    const { path, size } = headerIn(header);
    files.set(path.replace(/^\.\//, ""), { from: at + blockBytes, size });
    at += blockBytes + Math.ceil(size / blockBytes) * blockBytes;
  }
  throw invalid("it has too many files");
}

function headerIn(block: Buffer): TarHeader {
  try {
    return headerOf(block);
  } catch (cause) {
    throw invalid("it is no tar archive that this Kiln reads", cause);
  }
}
