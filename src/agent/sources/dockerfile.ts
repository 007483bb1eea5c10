// A Dockerfile out of a named context: a small build of its own copies it to where it can be read, so that every kind of
// context, with its login, is read as BuildKit reads it.

import type { Attachable, BuildkitClient, SolveRequest } from "../../buildkit/index.ts";
import { dockerfileAttr } from "./marks.ts";

/** What is read by what. */
export interface DockerfileReading {
  readonly client: BuildkitClient;
  /** What the session offers, with these folders. */
  readonly offer: (trees: ReadonlyMap<string, ReadonlyMap<string, Buffer>>) => Attachable[];
  readonly signal: AbortSignal;
}

const folder = "kiln-dockerfile";

/**
 * The Dockerfile that a request asks for, and `<Dockerfile>.dockerignore` beside it, by name. Throws BuildkitError, as a step does that copies what is not there.
 */
export async function dockerfileFrom(
  request: SolveRequest,
  { client, offer, signal }: DockerfileReading,
): Promise<ReadonlyMap<string, Buffer>> {
  const { [dockerfileAttr]: key, filename = "Dockerfile", ...attrs } = request.frontendAttrs;
  const value = attrs[key ?? ""] ?? "";
  // An archive or file that was fetched has one name in a context: "context".
  const file = /^https?:/.test(value) && !/\.git([?#]|$)/.test(value) ? "context" : filename;
  // A pattern may match nothing.
  const ignore = `${file.replace(/[^/]$/, (last) => `[${last}]`)}.dockerignore`;
  const text = [
    "FROM scratch",
    `COPY --from=source ${JSON.stringify([file, "/file"])}`,
    `COPY --from=source ${JSON.stringify([ignore, "/ignore/"])}`,
    "",
  ].join("\n");
  const asked: SolveRequest = {
    ref: `${request.ref}-dockerfile`,
    frontend: "dockerfile.v0",
    frontendAttrs: { filename: "Dockerfile", dockerfilekey: folder, "context:source": value },
    exporters: [],
    cacheImports: [],
    cacheExports: [],
    ...(request.sourcePolicy && { sourcePolicy: request.sourcePolicy }),
  };
  const found = new Map<string, Buffer>();
  const name = filename.split("/").at(-1) ?? filename;
  const options = {
    attachables: offer(new Map([[folder, new Map([["Dockerfile", Buffer.from(text)]])]])),
    onEvent: () => undefined,
    signal,
  };
  await client.build(asked, options, async (gateway) => {
    const { frontend, frontendAttrs } = asked;
    const answer = await gateway.solve({ frontend, frontendAttrs, evaluate: true });
    const { ref } = answer;
    if (ref === undefined) return answer;
    found.set(name, await gateway.readFile(ref, "/file"));
    const beside = await gateway.readDir(ref, "/ignore").catch(() => []);
    for (const { path } of beside)
      found.set(`${name}.dockerignore`, await gateway.readFile(ref, `/ignore/${path}`));
    return answer;
  });
  return found;
}
