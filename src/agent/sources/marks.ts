// What a plan says of sources that only the agent can put into the daemon's words. No login is in it.

/** Content of a registry. */
export interface ArtifactMark {
  readonly ref: string;
  readonly insecure: boolean;
}

const artifactMark = "kiln-artifact:";

/** The value of a context's attribute that means content of a registry. */
export function artifactContext({ ref, insecure }: ArtifactMark): string {
  return `${artifactMark}${JSON.stringify({ ref, insecure })}`;
}

/** What `artifactContext` was given; undefined for another value. */
export function artifactOf(value: string): ArtifactMark | undefined {
  if (!value.startsWith(artifactMark)) return undefined;
  return JSON.parse(value.slice(artifactMark.length)) as ArtifactMark;
}

/** Attribute with the attribute of the context that has the Dockerfile, such as `context:tools`. */
export const dockerfileAttr = "kiln-dockerfile";
