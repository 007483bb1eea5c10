// Addresses that lead through another program: what is run, and what is refused.

import assert from "node:assert/strict";
import { stdioCommand } from "../../../src/cli/address/stdio.ts";
import { endpointOf } from "../../../src/cli/endpoint.ts";
import { KilnError } from "../../../src/errors/index.ts";

const commands: readonly (readonly [address: string, command: string])[] = [
  ["docker-container://b_1", "docker exec -i b_1 buildctl dial-stdio"],
  ["podman-container://b.1", "podman exec -i b.1 buildctl dial-stdio"],
  ["kube-pod://b-0", "kubectl exec -i b-0 -- buildctl dial-stdio"],
  [
    "kube-pod://b-0?namespace=shop&container=buildkitd&context=prod",
    "kubectl --context=prod --namespace=shop exec -i --container=buildkitd b-0 -- buildctl dial-stdio",
  ],
  ["ssh://host.example", "ssh -- host.example buildctl dial-stdio"],
  [
    "ssh://me@host.example:2222/run/b/buildkitd.sock",
    "ssh -l me -p 2222 -- host.example buildctl --addr unix:///run/b/buildkitd.sock dial-stdio",
  ],
];

const refused: readonly (readonly [what: string, address: string])[] = [
  ["a container that is an option", "docker-container://-v"],
  ["a pod with a blank", "kube-pod://a%20b"],
  ["an option for kubectl", "kube-pod://a?kubeconfig=x"],
  ["a namespace that is an option", "kube-pod://a?namespace=--x"],
  ["a user that is an option", "ssh://-oProxyCommand=x@host"],
  ["a socket with a command in it", "ssh://host/a;id"],
  ["no container at all", "docker-container://"],
];

describe("an address through another program", () => {
  for (const [address, command] of commands)
    it(`${address} runs it`, () => assert.equal(stdioCommand(address)?.join(" "), command));

  for (const [what, address] of refused)
    it(`refuses ${what}`, () =>
      assert.throws(
        () => stdioCommand(address),
        (error) => error instanceof KilnError && error.reason === "InvalidFlag",
      ));

  it("is not one of the others", () => {
    assert.equal(stdioCommand("tcp://a:1"), undefined);
    assert.deepEqual(endpointOf({ addr: "docker+unix:///run/docker.sock" }), {
      kind: "docker",
      engine: { kind: "unix", path: "/run/docker.sock" },
    });
  });
});
