// Small functions of Go's library that differ from JavaScript's namesakes. Pure.
import { posix } from "node:path";

/** filepath.Clean on Unix: as `normalize`, but without a slash at the end. */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

/** filepath.Join: empty parts are left out, the rest is cleaned; "" for nothing at all. */
export function joinPath(...parts: readonly string[]): string {
  const some = parts.filter((part) => part !== "");
  return some.length === 0 ? "" : cleanPath(some.join("/"));
}

/** strings.TrimSpace: Unicode's White_Space, to which U+0085 belongs, and U+FEFF does not. */
export function trimSpace(text: string): string {
  return text.replace(/^\p{White_Space}+/u, "").replace(/\p{White_Space}+$/u, "");
}
