// The stream of an exporter taken apart: each file goes to a target of its own, and all together have one digest.
import type { FileSink } from "../../buildkit/index.ts";
import { digestOf } from "../../registry/digest.ts";
import type { Opening } from "./opening.ts";
import { type Passed, type PieceTarget, piecewise } from "./pieces.ts";
import type { FileFacts } from "./places.ts";
import { type TarEntry, type TarFile, tarSink } from "./tar-reader.ts";

/** A target with something to do at its end. */
export function followed(
  target: PieceTarget,
  then: (passed: Passed) => Promise<void>,
): PieceTarget {
  return {
    write: (piece) => target.write(piece),
    async finish(rest, passed) {
      await target.finish(rest, passed);
      await then(passed);
    },
    abort: () => target.abort(),
  };
}

/** What was made of the files of an output. */
export type MadeFiles = Required<Pick<FileFacts, "digest" | "size" | "files">> &
  Pick<FileFacts, "skipped">;

/** Where the files of an output go, one by one. */
export interface Files {
  readonly target: (file: TarFile) => PieceTarget;
  /** Folders and links, for places that have them. */
  readonly entry?: (entry: TarEntry) => Promise<void>;
  readonly finish: (made: MadeFiles) => Promise<void>;
  readonly abort?: () => Promise<void>;
}

/** Takes the stream of an exporter apart, file by file. */
export function filesSink(
  { fail }: Pick<Opening, "fail">,
  { target, entry, finish, abort }: Files,
): FileSink {
  const made = new Map<string, Passed>();
  let skipped = 0;
  const sink = tarSink({
    open: async (file) => {
      const { path, size } = file;
      const told = followed(target(file), async (passed) => void made.set(path, passed));
      return piecewise(told, fail, size);
    },
    ...(entry && { entry }),
    skipped: () => (skipped += 1),
    finish: async () => await finish({ ...summary(made), ...(skipped > 0 && { skipped }) }),
    abort: async () => await abort?.(),
  });
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      fail(error);
      throw error;
    }
  };
  return {
    ...sink,
    write: (pieces) => guarded(async () => await sink.write(pieces)),
    finish: () => guarded(async () => await sink.finish()),
  };
}

/** Several files as one digest: that of the lines that `sha256sum` prints for them, in the order of their paths. */
function summary(made: ReadonlyMap<string, Passed>) {
  const sorted = [...made].toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const lines = sorted.map(([path, { digest }]) => `${digest.slice("sha256:".length)}  ${path}\n`);
  const size = sorted.reduce((sum, [, passed]) => sum + passed.size, 0);
  return { digest: digestOf(Buffer.from(lines.join(""))), size, files: made.size };
}
