// What do .dockerignore files say, and which one of them counts? Semantics: ignorefile of github.com/moby/patternmatcher
// v0.6.1, and dockerui of BuildKit v0.34.2. Frontends read these files themselves; this is for builds without one.
import { nameOf } from "../names.ts";
import type { Tree } from "../tree.ts";
import { cleanPath, trimSpace } from "./go-text.ts";

const maxLineBytes = 64 * 1024;

/** The patterns of an ignore file, in order. Throws SyntaxError for a line of 64 KiB or more, as Go does. */
export function ignorePatterns(file: string): string[] {
  const lines = file.replace(/^\uFEFF/, "").split("\n");
  if (lines.some((line) => Buffer.byteLength(line) >= maxLineBytes)) {
    throw new SyntaxError("an ignore file has a line of 64 KiB or more");
  }
  return lines
    .filter((line) => !line.startsWith("#"))
    .map(trimSpace)
    .filter((line) => line !== "")
    .map(patternOf);
}

function patternOf(line: string): string {
  const exception = line.startsWith("!");
  const text = exception ? trimSpace(line.slice(1)) : line;
  const cleaned = text === "" ? "" : cleanPath(text);
  const relative = cleaned.length > 1 && cleaned.startsWith("/") ? cleaned.slice(1) : cleaned;
  return exception ? `!${relative}` : relative;
}

/** Where a build's Dockerfile is. */
export interface DockerfilePlace {
  readonly tree: Tree;
  /** Its path in there; default "Dockerfile". */
  readonly path?: string;
}

/**
 * The patterns that a context's sync leaves out: those of `<Dockerfile>.dockerignore` beside the Dockerfile when it is
 * there, even an empty one; else those of the context's `.dockerignore`; else none.
 */
export function contextExcludes(context: Tree, dockerfile: DockerfilePlace): string[] {
  const own = textOf(dockerfile.tree, `${dockerfile.path ?? "Dockerfile"}.dockerignore`);
  return ignorePatterns(own ?? textOf(context, ".dockerignore") ?? "");
}

function textOf(tree: Tree, path: string): string | undefined {
  const file = tree.open(path);
  if (file === undefined) return undefined;
  try {
    const bytes = Buffer.allocUnsafe(file.size);
    let length = 0;
    for (;;) {
      const count = file.readSync(bytes.subarray(length), length);
      if (count === 0) break;
      length += count;
    }
    return nameOf(bytes.subarray(0, length));
  } finally {
    file.close();
  }
}
