import assert from "node:assert/strict";
import { KilnError } from "../../../src/errors/index.ts";
import {
  loginFor,
  loginForHost,
  mergeDockerConfigs,
  parseDockerConfig,
  type RegistryLogin,
} from "../../../src/registry/docker-config.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const config = (auths: object) => parseDockerConfig(JSON.stringify({ auths }));
const basic = (username: string, password: string): RegistryLogin => ({
  kind: "basic",
  username,
  password,
});

describe("docker config", () => {
  const forms: [sentence: string, entry: object, login: RegistryLogin | undefined][] = [
    ["decodes auth", { auth: base64("me:pass:word") }, basic("me", "pass:word")],
    ["reads user and password", { username: "me", password: "pw" }, basic("me", "pw")],
    ["prefers auth", { auth: base64("a:b"), username: "c", password: "d" }, basic("a", "b")],
    [
      "reads an identity token",
      { auth: base64("me:"), identitytoken: "id" },
      { kind: "identityToken", username: "me", token: "id" },
    ],
    [
      "takes the user <token> for an identity token",
      { username: "<token>", password: "id" },
      { kind: "identityToken", username: "<token>", token: "id" },
    ],
    ["reads a registry token", { registrytoken: "rt" }, { kind: "registryToken", token: "rt" }],
    ["ignores an empty entry", {}, undefined],
  ];
  for (const [sentence, entry, login] of forms) {
    it(sentence, () =>
      assert.deepEqual(loginFor(config({ "r.example": entry }), "r.example"), login),
    );
  }

  const keys: [sentence: string, key: string, host: string, repository: string, found: boolean][] =
    [
      ["finds a plain host", "r.example", "r.example", "", true],
      ["finds a host with scheme and version", "https://r.example/v2/", "r.example", "", true],
      [
        "finds Docker Hub's login key",
        "https://index.docker.io/v1/",
        "registry-1.docker.io",
        "",
        true,
      ],
      ["finds the Hub by its short name", "docker.io", "registry-1.docker.io", "", true],
      ["compares hosts without case", "R.Example", "r.example", "", true],
      ["tells ports apart", "r.example:5000", "r.example", "", false],
      ["tells hosts apart", "r.example", "other.example", "", false],
      ["finds a part of a registry", "r.example/team", "r.example", "team/app", true],
      ["does not take a part for the whole", "r.example/team", "r.example", "", false],
      ["does not take half a name for a part", "r.example/team", "r.example", "teams/app", false],
      ["lets a star stand for a label", "*.r.example", "eu.r.example", "", true],
      ["lets a star stand for part of a label", "eu-*.r.example", "eu-1.r.example", "", true],
      ["does not let a star cross a dot", "*.example", "eu.r.example", "", false],
    ];
  for (const [sentence, key, host, repository, found] of keys) {
    it(sentence, () => {
      const logins = config({ [key]: { auth: base64("u:p") } });
      assert.equal(loginFor(logins, host, repository) !== undefined, found);
    });
  }

  it("prefers the longest part, and the exact host to a star", () => {
    const logins = config({
      "*.example": { username: "star", password: "p" },
      "r.example": { username: "host", password: "p" },
      "r.example/team": { username: "team", password: "p" },
    });
    assert.deepEqual(loginFor(logins, "r.example", "team/app"), basic("team", "p"));
    assert.deepEqual(loginFor(logins, "r.example", "else/app"), basic("host", "p"));
    assert.deepEqual(loginFor(logins, "s.example"), basic("star", "p"));
  });

  it("takes the one part of a registry when the repository is not known", () => {
    const one = config({ "r.example/team": { username: "team", password: "p" } });
    assert.deepEqual(loginForHost(one, "r.example"), basic("team", "p"));
    const two = mergeDockerConfigs([
      one,
      config({ "r.example/b": { username: "b", password: "p" } }),
    ]);
    assert.equal(loginForHost(two, "r.example"), undefined);
  });

  it("lets the later config win a merge", () => {
    const merged = mergeDockerConfigs([
      config({
        "r.example": { username: "old", password: "p" },
        a: { username: "a", password: "p" },
      }),
      config({ "https://r.example": { username: "new", password: "p" } }),
    ]);
    assert.deepEqual(loginFor(merged, "r.example"), basic("new", "p"));
    assert.deepEqual(loginFor(merged, "a"), basic("a", "p"));
  });

  it("reads the form without auths around it", () => {
    const legacy = parseDockerConfig(JSON.stringify({ "r.example": { auth: base64("u:p") } }));
    assert.deepEqual(loginFor(legacy, "r.example"), basic("u", "p"));
  });

  const bad: [sentence: string, json: string][] = [
    ["refuses what is not JSON", '{"auths":{"r":{"password":"hunter2"'],
    ["refuses a list", '["hunter2"]'],
    ["refuses auths that are no object", '{"auths":"hunter2"}'],
    ["refuses a login that is no object", '{"auths":{"r":"hunter2"}}'],
    ["refuses an auth without a colon", `{"auths":{"r":{"auth":"${base64("hunter2")}"}}}`],
  ];
  for (const [sentence, json] of bad) {
    it(`${sentence}, without quoting it`, () =>
      assert.throws(
        () => parseDockerConfig(json),
        (error) =>
          error instanceof KilnError &&
          error.reason === "InvalidDockerConfig" &&
          !/hunter2|aHVudGVy/.test(error.message),
      ));
  }
});
