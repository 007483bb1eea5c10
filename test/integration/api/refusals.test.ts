// What a person may not apply, and what the real API server then says: it names the field, and what
// to do about it.

import assert from "node:assert/strict";
import { kinds } from "../../../src/api/kinds.ts";
import {
  InvalidResource,
  parseBake,
  parseBuilder,
  parseBuildRun,
  parseClusterBuilder,
} from "../../../src/api/parse.ts";
import { type Manifest, type Refusal, run } from "./manifests.ts";
import { bakes } from "./refused-bakes.ts";
import { builders } from "./refused-builders.ts";
import { contexts } from "./refused-contexts.ts";
import { places } from "./refused-places.ts";
import { drivers } from "./refused-pods.ts";
import { build, life, options, output } from "./refused-runs.ts";
import { type ApiServer, apiServer, pathOf } from "./server.ts";

const cases: readonly Refusal[] = [
  ...contexts,
  ...build,
  ...options,
  ...output,
  ...life,
  ...builders,
  ...drivers,
  ...places,
  ...bakes,
];

/** Rules over several fields or entries: the API server holds them, the parser need not. */
const serverOnly: ReadonlySet<string> = new Set([
  "no context and no inline Dockerfile",
  "a build arg twice",
  "a platform twice",
  "a secret twice",
  "a push to nowhere",
  "a tag twice",
  "zstd in Docker's media types",
  "forced compression of no kind",
  "timestamps rewritten to no time",
  "a hard limit below the soft one",
  "swap without memory",
  "swap with a limit and without",
  "no cache at all and in some stages",
  "an option that a field stands for",
  "a replacement for what is denied",
  "a conversion into nothing",
  "a level of a compression that has none",
  "a push by digest with a tag",
  "an annotation of the index for one platform",
  "inline cache without an image",
  "inline cache twice",
  "a run with a long name",
  "a cache service without an address",
  "an archive with new times but no time",
  "a value here and elsewhere",
  "ids of cache mounts from elsewhere",
  "a daemon configured from afar",
  "a pull secret twice",
  "a toleration with a useless value",
  "a label of Kiln's own",
  "an annotation of Kiln's own",
  "TLS over a socket",
  "a node twice",
  "an image of somebody's",
  "swap of a container without memory",
  "swap of a container with a limit and without",
  "to take over some container",
  "an engine behind SSH without ssh",
  "ssh:// without ssh",
  "ssh for tcp://",
  "an engine for a pod",
  "a kubeconfig for a container",
  "a context without a kubeconfig",
  "storage and tmpfs at once",
  "replicas and scaling",
  "a least number above the largest",
  "an instance for each run without scaling",
  "an instance for each run with a volume",
  "a token of nobody's",
  "a mount of no volume",
  "a volume twice",
  "a variable with two values",
  "a variable from nowhere",
  "a variable twice",
  "certificates from two places",
  "a GC policy that forgets the rest of the cache",
  "more cache than the volume holds",
  "more reserved than the tmpfs holds",
  "a registry twice",
  "frontends of a daemon that somebody else configures",
  "pods of nodes beside those of the Builder",
  "pods from none that do not say what they build for",
  "a Builder with a dot in its name",
  "a Builder with a long name",
  "a ClusterBuilder with a long name",
  "intermediates with a tag",
  "a Bake with a long name",
]);

const parsers: Readonly<Record<string, (value: unknown) => unknown>> = {
  Builder: parseBuilder,
  ClusterBuilder: parseClusterBuilder,
  BuildRun: parseBuildRun,
  Bake: parseBake,
};

describe("the parser refuses what the API server refuses in one field", () => {
  for (const [what, manifest] of cases) {
    if (serverOnly.has(what)) continue;
    it(what, () => assert.throws(() => parsers[manifest.kind]?.(manifest), InvalidResource));
  }
});

describe("the API server refuses", () => {
  let server: ApiServer;

  before(async () => {
    server = await apiServer();
  });

  async function dryRun(manifest: Manifest) {
    const kind = kinds.find(({ kind }) => kind === manifest.kind);
    assert.ok(kind !== undefined);
    const path = pathOf(kind.plural, manifest.metadata.namespace);
    return await server.send("POST", `${path}?dryRun=All&fieldValidation=Strict`, manifest);
  }

  for (const [what, manifest, field, advice] of cases) {
    it(what, async () => {
      const { status, body } = await dryRun(manifest);
      assert.equal(
        status,
        422,
        `was not refused as invalid: ${JSON.stringify(body).slice(0, 500)}`,
      );
      assert.ok(body.message.includes(field), `does not name ${field}: ${body.message}`);
      assert.match(body.message, advice);
    });
  }

  it("a misspelt field, by its name", async () => {
    const { status, body } = await dryRun(run({ platform: ["linux/amd64"] }));
    assert.equal(status, 400);
    assert.match(body.message, /unknown field "spec\.platform"/);
  });
});
