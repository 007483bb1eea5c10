import assert from "node:assert/strict";
import { isBelowFloor, oldest, probeProblem } from "../../../src/builder/health/answers.ts";
import type { Problem } from "../../../src/builder/health/problem.ts";
import { BuildkitError } from "../../../src/buildkit/errors/errors.ts";
import { KilnError } from "../../../src/errors/index.ts";

describe("the version floor", () => {
  const cases: [string, boolean][] = [
    ["v0.32.2", false],
    ["0.32.2", false],
    ["v0.34.2", false],
    ["v1.0.0", false],
    ["v0.32.1", true],
    ["v0.31.9", true],
    ["v0.9.3", true],
    ["v0.32.2-rc1", true],
    ["v0.33.0-rc1", false],
    ["0.0.0+unknown", true],
    ["master", false],
    ["", false],
  ];
  for (const [version, below] of cases) {
    it(`${version || "no version"} is ${below ? "too old" : "good"}`, () =>
      assert.equal(isBelowFloor(version), below));
  }

  it("the oldest of several is found by number, not by text", () => {
    assert.equal(oldest(["v0.34.2", "v0.9.0", "v0.33.0"]), "v0.9.0");
    assert.equal(oldest([]), undefined);
  });
});

function said(details: string, grpcCode = 14): BuildkitError {
  const cause = Object.assign(new Error(details), { details });
  return new BuildkitError({
    class: "Builder",
    reason: "BuilderUnreachable",
    message: "x",
    retryable: true,
    grpcCode,
    cause,
  });
}

describe("the words of a problem", () => {
  for (const details of [
    "no connection: connect ECONNREFUSED 127.0.0.1:1",
    "No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1 (2026-01-01T00:00:00.000Z). Resolution note:",
  ]) {
    it(`leave out what differs from try to try, and what is said anyway: ${details}`, () => {
      assert.equal(
        probeProblem(said(details), "tcp://there:1").message,
        "BuildKit at tcp://there:1 cannot be reached: connect ECONNREFUSED 127.0.0.1:1. Nothing listens there: check the address and whether buildkitd runs.",
      );
    });
  }
});

describe("what the silence of a daemon means", () => {
  const cases: [string, unknown, Problem["reason"]][] = [
    [
      "nothing listens",
      said("no connection: connect ECONNREFUSED 127.0.0.1:1"),
      "ConnectionRefused",
    ],
    ["the socket is not there", said("no connection: connect ENOENT /x.sock"), "ConnectionRefused"],
    [
      "the name is unknown",
      said("no connection: getaddrinfo ENOTFOUND nowhere.invalid"),
      "NameNotResolved",
    ],
    [
      "the authority is another",
      said("no connection: unable to verify the first certificate"),
      "TLSFailed",
    ],
    ["the name is another", said("Hostname/IP does not match certificate's altnames"), "TLSFailed"],
    [
      "no certificate was shown",
      said("write EPROTO: tlsv13 alert certificate required"),
      "TLSFailed",
    ],
    ["the connection breaks", said("read ECONNRESET"), "ConnectionLost"],
    ["it hangs up at once", said("no connection: the connection has ended"), "ConnectionLost"],
    ["dialling never ends", said("no connection: dialling takes too long"), "NotAnswering"],
    ["packets go nowhere", said("connect ETIMEDOUT 10.0.0.1:1234"), "NotAnswering"],
    [
      "buildctl finds no daemon",
      said("buildctl ended with code 1: dial unix /x.sock: connect: no such file or directory"),
      "ConnectionRefused",
    ],
    [
      "the host has no buildctl",
      said("buildctl ended with code 127: sh: 1: buildctl: not found"),
      "NotBuildKit",
    ],
    [
      "the dialler knows why, and the client wraps what it says",
      new Error("no connection", {
        cause: new KilnError({ class: "Builder", reason: "HostKeyUnknown", message: "none" }),
      }),
      "HostKeyUnknown",
    ],
    ["it is another service", said("unknown service moby.buildkit.v1.Control", 12), "NotBuildKit"],
    [
      "its TLS material is no PEM",
      new KilnError({ class: "Builder", reason: "TlsInvalid", message: "no PEM" }),
      "TLSFailed",
    ],
    [
      "its Secret is missing",
      new KilnError({ class: "Builder", reason: "SecretNotFound", message: "none" }),
      "SecretNotFound",
    ],
    ["something unheard of", new Error("boom"), "NotAnswering"],
  ];
  for (const [name, error, reason] of cases) {
    it(name, () => {
      const problem = probeProblem(error, "tcp://there:1");
      assert.equal(problem.reason, reason);
      assert.match(problem.message, /[.!]$|none|no PEM/);
    });
  }
});
