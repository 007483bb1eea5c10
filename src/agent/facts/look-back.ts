// What only the places outside can say of a finished build: which digest each pushed tag has in its registry, and who made
// the commit. The daemon is asked, since it knows the registries' certificates and mirrors; nothing here fails a build.

import type { Attachable, BuildkitClient, Gateway, SolveRequest } from "../../buildkit/index.ts";
import { parseReference, referenceText, withDefaultTag } from "../../registry/reference.ts";
import type { ImageFacts, ReadBack, SolveFacts } from "../agent.ts";

/** A finished solve. */
export interface Finished {
  readonly request: SolveRequest;
  readonly facts: SolveFacts;
  readonly attachables: readonly Attachable[];
  /** Cuts secrets out of what a registry says. */
  readonly redact: (text: string) => string;
}

/** Looking back may not hold up a finished run for longer, in milliseconds. */
const deadlineMs = 20_000;
const maxMessage = 300;

type Exporter = SolveRequest["exporters"][number];

/** The facts with what was found; those that could not be asked for are left out, or say why. */
export async function lookBack(
  client: BuildkitClient,
  { request, facts, attachables, redact }: Finished,
  signal: AbortSignal,
): Promise<SolveFacts> {
  const own = request.exporters.filter(({ type }) => type === "image").map(pushedTags);
  const pushed = facts.images.map(({ exporter }, index) =>
    exporter === undefined ? own[index] : pushedTags(request.exporters[exporter]),
  );
  if (pushed.every((tags = []) => tags.length === 0) && facts.git === undefined) return facts;
  let found = facts;
  const question = {
    ref: `${request.ref}-facts`,
    internal: true,
    frontendAttrs: {},
    exporters: [],
    cacheImports: [],
    cacheExports: [],
    ...hostKeys(request),
  };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
  const options = { attachables, onEvent: () => undefined, signal: limit };
  const told = (text: string): string => redact(text).slice(0, maxMessage);
  try {
    await client.build(question, options, async (gateway) => {
      const [read, git] = await Promise.all([
        Promise.all(
          facts.images.map((image, index) =>
            readBack(gateway, image, { tags: pushed[index], told }),
          ),
        ),
        commitOf(gateway, facts.git, request),
      ]);
      found = { ...facts, images: read, ...(git && { git }) };
      return undefined;
    });
  } catch {
    // The build succeeded; whoever reads its status sees that nothing was read back.
  }
  return found;
}

/** References that an exporter pushes; by digest there are none. */
function pushedTags(exporter: Exporter | undefined): string[] {
  const { attrs = {} } = exporter ?? {};
  if (attrs["push"] !== "true" || attrs["push-by-digest"] === "true") return [];
  return (attrs["name"] ?? "").split(",").filter((name) => name !== "");
}

/** The rules of the build that make the daemon trust a git server, and no others: those are about the build's sources. */
function hostKeys({ sourcePolicy }: SolveRequest): Pick<SolveRequest, "sourcePolicy"> {
  const rules = (sourcePolicy?.rules ?? []).filter(
    ({ updates }) => updates?.attrs?.["git.knownsshhosts"] !== undefined,
  );
  return rules.length === 0 ? {} : { sourcePolicy: { rules } };
}

async function readBack(
  gateway: Gateway,
  image: ImageFacts,
  asked: {
    readonly tags: readonly string[] | undefined;
    /** What a registry says, as it may be repeated. */
    readonly told: (text: string) => string;
  },
): Promise<ImageFacts> {
  const { tags = [], told } = asked;
  if (tags.length === 0) return image;
  const platform = image.platforms[0]?.platform;
  const one = async (tag: string): Promise<ReadBack> => {
    try {
      const identifier = `docker-image://${referenceText(withDefaultTag(parseReference(tag)))}`;
      const options = { mode: "pull", ...(platform === undefined ? {} : { platform }) } as const;
      const digest = (await gateway.resolveSourceMeta({ identifier }, options)).image?.digest;
      if (digest !== undefined && digest !== "") return { tag, digest };
      return { tag, message: "The registry does not say." };
    } catch (error) {
      return { tag, message: told((error as Error).message) };
    }
  };
  return { ...image, readBack: await Promise.all(tags.map(one)) };
}

async function commitOf(
  gateway: Gateway,
  git: SolveFacts["git"],
  { frontendAttrs }: SolveRequest,
): Promise<SolveFacts["git"]> {
  if (git === undefined) return undefined;
  const remote = (frontendAttrs["context"] ?? git.url).replace(/[?#].*$/s, "");
  const place = remote.replace(/^[a-z]+:\/\//, "").replace(/^([^/]*@)?([^/:]+):(?!\d)/, "$1$2/");
  const attrs = {
    "git.fullurl": remote,
    "git.authtokensecret": "GIT_AUTH_TOKEN",
    "git.authheadersecret": "GIT_AUTH_HEADER",
    ...(/^https?:/.test(remote) ? {} : { "git.mountsshsock": "default" }),
  };
  try {
    const identifier = `git://${place}#${git.commit}`;
    const meta = await gateway.resolveSourceMeta({ identifier, attrs }, { commitObject: true });
    return { ...git, ...authorOf(meta.git?.commitObject?.toString("utf8") ?? "") };
  } catch {
    return git;
  }
}

/** The author of a commit, and when it was made, from the headers of its object. */
export function authorOf(commit: string): {
  readonly author?: string;
  readonly committedAt?: string;
} {
  const [headers = ""] = commit.split("\n\n", 1);
  const author = /^author (.*) -?\d+ [+-]\d{4}$/m.exec(headers)?.[1];
  const seconds = Number(/^committer .* (-?\d{1,11}) [+-]\d{4}$/m.exec(headers)?.[1] ?? NaN);
  return {
    ...(author === undefined ? {} : { author }),
    ...(Number.isNaN(seconds) ? {} : { committedAt: new Date(seconds * 1000).toISOString() }),
  };
}
