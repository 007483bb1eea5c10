// What a part calls its own of something that the whole run has one name for: the name, with the part's platforms behind it.
// Pure.

const maxName = 128;
/** What BuildKit takes where a reference or a local cache has no tag. */
export const defaultTag = "latest";

/** "linux-arm64", or "linux-amd64_linux-386". */
export function suffixOf(platforms: readonly string[]): string {
  return platforms.join("_").replaceAll("/", "-");
}

/** The name with the suffix, up to 128 characters; both are cut so that the suffix still tells parts apart. */
export function named(name: string, suffix: string): string {
  const end = suffix.slice(0, maxName / 2);
  return `${name.slice(0, maxName - end.length - 1)}-${end}`;
}

/** A reference without its tag. A tag or digest is behind the last slash; before it, a colon begins a port. */
export function repositoryOf(reference: string): string {
  return reference.replace(/[:@][^/]*$/, "");
}

/** A reference with the suffix in its tag. */
export function namedTag(reference: string, suffix: string): string {
  const repository = repositoryOf(reference);
  const tag = reference.slice(repository.length + 1) || defaultTag;
  return `${repository}:${named(tag, suffix)}`;
}
