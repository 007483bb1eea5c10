// Which kubeconfigs from a Secret may the controller use? None that makes it run a program or read a file.

import assert from "node:assert/strict";
import { remoteCluster } from "../../../src/builder/remote/kubeconfig.ts";
import { KilnError } from "../../../src/errors/index.ts";

function kubeconfig(o: { readonly cluster?: object; readonly user?: object } = {}): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: "https://c.example", ...o.cluster } }],
    users: [{ name: "u", user: { token: "t", ...o.user } }],
    contexts: [
      { name: "one", context: { cluster: "c", user: "u" } },
      { name: "two", context: { cluster: "c", user: "u", namespace: "builders" } },
    ],
    "current-context": "one",
  });
}

const refused: readonly (readonly [what: string, text: string, says: RegExp, context?: string])[] =
  [
    ["no YAML", "{", /is no kubeconfig/],
    ["something else", "[]", /no kubeconfig|no current context/],
    ["a program", kubeconfig({ user: { exec: { command: "sh" } } }), /uses exec/],
    ["a plugin", kubeconfig({ user: { "auth-provider": { name: "gcp" } } }), /uses authProvider/],
    ["a key in a file", kubeconfig({ user: { "client-key": "/k" } }), /uses keyFile/],
    [
      "an authority in a file",
      kubeconfig({ cluster: { "certificate-authority": "/ca" } }),
      /uses caFile/,
    ],
    ["another context", kubeconfig(), /has no context three/, "three"],
  ];

describe("a kubeconfig from a Secret", () => {
  for (const [what, text, says, context] of refused) {
    it(`is refused with ${what}`, () =>
      assert.throws(
        () => remoteCluster(text, "Secret a/b", context),
        (error) =>
          error instanceof KilnError &&
          error.reason === "SecretInvalid" &&
          says.test(error.message),
      ));
  }

  it("is used with the context that the address names", () => {
    assert.equal(remoteCluster(kubeconfig(), "x", "two").getCurrentContext(), "two");
    assert.equal(remoteCluster(kubeconfig(), "x").getCurrentContext(), "one");
  });
});
