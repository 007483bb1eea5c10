import assert from "node:assert/strict";
import fc from "fast-check";
import { KilnError } from "../../../src/errors/index.ts";
import {
  parseReference,
  referenceText,
  registryHost,
  withDefaultTag,
} from "../../../src/registry/reference.ts";

const digest = `sha256:${"a1".repeat(32)}`;

describe("image references", () => {
  const good: [sentence: string, text: string, whole: string][] = [
    ["adds Docker Hub and library", "debian", "docker.io/library/debian"],
    ["keeps a tag", "debian:bookworm-slim", "docker.io/library/debian:bookworm-slim"],
    ["keeps an organisation of the Hub", "moby/buildkit:v1", "docker.io/moby/buildkit:v1"],
    ["folds the Hub's old name", "index.docker.io/debian", "docker.io/library/debian"],
    ["adds library to a spelt-out Hub", "docker.io/debian", "docker.io/library/debian"],
    ["sees a registry by its dot", "registry.example/a", "registry.example/a"],
    ["sees a registry by its port", "registry:5000/a/b:1", "registry:5000/a/b:1"],
    ["sees localhost", "localhost/a", "localhost/a"],
    ["sees a registry by upper case", "REGISTRY/a", "REGISTRY/a"],
    ["reads IPv6", "[::1]:5000/a:x", "[::1]:5000/a:x"],
    ["takes a port for no tag", "registry:5000/a", "registry:5000/a"],
    ["keeps a digest", `a@${digest}`, `docker.io/library/a@${digest}`],
    ["keeps tag and digest", `a:1@${digest}`, `docker.io/library/a:1@${digest}`],
    ["allows separators in names", "r.example/a_b/c__d/e-f--g.h", "r.example/a_b/c__d/e-f--g.h"],
  ];
  for (const [sentence, text, whole] of good) {
    it(sentence, () => assert.equal(referenceText(parseReference(text)), whole));
  }

  const bad: [sentence: string, text: string, says: RegExp][] = [
    ["refuses nothing", "", /no valid name/],
    ["refuses upper case", "Debian", /upper-case/],
    ["refuses a space", "a b", /no valid name/],
    ["refuses a leading dash", "-a", /no valid name/],
    ["refuses an empty part", "r.example/a//b", /no valid name/],
    ["refuses a scheme", "https://r.example/a", /no valid/],
    ["refuses an empty tag", "a:", /no valid tag/],
    ["refuses a tag of 129", `a:${"x".repeat(129)}`, /no valid tag/],
    ["refuses a short digest", "a@sha256:abc", /digest/],
    ["refuses an unknown digest", `a@md5:${"a".repeat(32)}`, /digest/],
    ["refuses upper-case digits", `a@${digest.toUpperCase().replace("SHA", "sha")}`, /upper-case/],
    ["refuses an image id", "a1".repeat(32), /image id/],
    ["refuses a name of 256", `r.example/${"a".repeat(256)}`, /255/],
    ["refuses a line feed", "a\n", /no valid name/],
  ];
  for (const [sentence, text, says] of bad) {
    it(sentence, () =>
      assert.throws(
        () => parseReference(text),
        (error) =>
          error instanceof KilnError &&
          error.class === "User" &&
          error.reason === "InvalidReference" &&
          says.test(error.message),
      ),
    );
  }

  it("reads its own text as the same parts", () => {
    const part = fc.stringMatching(/^[a-z0-9]+([._-][a-z0-9]+)?$/);
    const domain = fc.constantFrom("docker.io", "r.example", "r.example:5000", "localhost");
    const tag = fc.option(fc.stringMatching(/^\w[\w.-]{0,20}$/), { nil: undefined });
    fc.assert(
      fc.property(
        domain,
        fc.array(part, { minLength: 2, maxLength: 4 }),
        tag,
        (host, path, name) => {
          const reference = {
            domain: host,
            repository: path.join("/"),
            ...(name === undefined ? {} : { tag: name }),
          };
          assert.deepEqual(parseReference(referenceText(reference)), reference);
        },
      ),
    );
  });

  it("never throws anything but KilnError", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        try {
          parseReference(text);
        } catch (error) {
          assert.ok(error instanceof KilnError);
        }
      }),
    );
  });

  it("defaults the tag only where nothing names a version", () => {
    assert.equal(withDefaultTag(parseReference("a")).tag, "latest");
    assert.equal(withDefaultTag(parseReference("a:1")).tag, "1");
    assert.equal(withDefaultTag(parseReference(`a@${digest}`)).tag, undefined);
  });

  it("knows where Docker Hub answers", () => {
    assert.equal(registryHost("docker.io"), "registry-1.docker.io");
    assert.equal(registryHost("r.example:5000"), "r.example:5000");
  });
});
