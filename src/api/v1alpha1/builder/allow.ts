// What a Builder lets runs do, whatever a BuildRun says: who may use it, and for what. A list that is
// left out forbids nothing, but for entitlements, which have to be given.

import { z } from "zod";
import { listSet, text } from "../../schema.ts";

const namePattern = text(
  { max: 253 },
  {
    matches: /^([a-z0-9]([a-z0-9-]*[a-z0-9])?|[a-z0-9-]*\*)$/,
    message: "must be the name of a namespace, or the beginning of one followed by *: team-*",
  },
);

const accountPattern = text(
  { max: 253 },
  {
    matches: /^([a-z0-9-]*\*?\/)?[a-z0-9.-]*\*?$/,
    message:
      "must be the name of a service account, or namespace/name; either may end with *: ci/build-*",
  },
);

const repositoryPattern = text(
  { max: 400 },
  {
    matches: /^[A-Za-z0-9.:[\]_-]+(\/[a-z0-9._-]+)*(\/\*)?$/,
    message:
      "must be host[:port]/repository without a tag, or end with /* for everything below: registry.example.com/shop/*",
  },
);

const kind = text(
  { max: 64 },
  {
    matches: /^[a-z][A-Za-z0-9]*$/,
    message: "must be a kind as a BuildRun names it, such as image or registry",
  },
);

const Destinations = (what: string, kinds: string, field: string) =>
  z.object({
    types: listSet(kind, 32)
      .optional()
      .describe(`Kinds of ${what} that runs may have, as ${field} names them: ${kinds}.`),
    repositories: listSet(repositoryPattern, 64)
      .optional()
      .describe(
        `Repositories that ${what} may name: host[:port]/repository, or with /* all below. Without a host: of Docker Hub.`,
      ),
  });

/** `spec.allow` of a Builder and a ClusterBuilder. */
export const Allow = z.object({
  namespaces: listSet(namePattern, 256)
    .optional()
    .describe("Namespaces whose runs it takes; a name may end with *."),
  serviceAccounts: listSet(accountPattern, 256)
    .optional()
    .describe(
      "Service accounts of the runs it takes: name, or namespace/name; each may end with *.",
    ),
  entitlements: listSet(z.enum(["network.host", "security.insecure", "device"]), 3)
    .default([])
    .describe("Entitlements that runs may ask for. The daemon is configured to grant just these."),
  frontends: listSet(
    text(
      { max: 400 },
      {
        matches: /^[A-Za-z0-9.:[\]_-]+(\/[a-z0-9._-]+)*$/,
        message:
          "must be the repository of a frontend image without a tag: for example docker/dockerfile",
      },
    ),
    32,
  )
    .optional()
    .describe(
      "Repositories of frontend images that runs may use, by a '# syntax=' line or otherwise; none: only the Dockerfile frontend inside BuildKit.",
    ),
  outputs: Destinations("outputs", "image, …", "spec.outputs")
    .optional()
    .describe("What runs may make of their results."),
  caches: Destinations("caches", "registry, inline, …", "spec.cache")
    .optional()
    .describe("Caches that runs may read and write."),
});

/** `spec.allow`, after defaults. */
export type Allow = z.output<typeof Allow>;
