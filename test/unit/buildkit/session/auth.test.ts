import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Auth } from "../../../../src/gen/moby/filesync/v1/auth_pb.ts";
import { methodPath } from "../../../../src/buildkit/rpc/channel.ts";
import { authProvider, type AuthOptions } from "../../../../src/buildkit/session/services/auth.ts";
import { issueServer, newAuthority } from "../../../../src/builder/index.ts";
import { parseDockerConfig, type DockerConfig } from "../../../../src/registry/docker-config.ts";
import { tokenRegistry, type TokenRegistry } from "../../registry/token-registry.ts";
import { connection } from "./connection.ts";

interface Reply<O extends DescMessage> {
  readonly status: number;
  readonly message: string;
  readonly body: MessageShape<O>;
}

/** The daemon's calls to one session. */
function daemonOf(config: DockerConfig, options?: AuthOptions) {
  const link = connection(authProvider(config, options));
  return {
    close: () => link.close(),
    async ask<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      request: MessageInitShape<I>,
    ): Promise<Reply<O>> {
      const bytes = toBinary(method.input, create(method.input, request));
      const { status, message, messages } = await link.call(methodPath(method), [bytes]);
      return { status, message, body: fromBinary(method.output, messages[0] ?? Buffer.alloc(0)) };
    },
  };
}

const salt = new Uint8Array(32).fill(7);
const scopes = ["repository:team/app:pull,push"];

describe("registry logins for a daemon", () => {
  let registry: TokenRegistry;
  let open: ReturnType<typeof daemonOf>[];
  beforeEach(async () => {
    open = [];
    registry = await tokenRegistry({ username: "me", password: "pw", identityToken: "id" });
  });
  afterEach(async () => {
    await Promise.all(open.map((daemon) => daemon.close()));
    await registry.stop();
  });

  function daemon(config: DockerConfig, options?: AuthOptions) {
    const opened = daemonOf(config, options);
    open.push(opened);
    return opened;
  }
  const logins = (password = "pw", host = registry.host) =>
    parseDockerConfig(JSON.stringify({ auths: { [host]: { username: "me", password } } }));
  const wish = (realm = registry.realm) => ({
    host: registry.host,
    realm,
    service: "fake",
    scopes,
  });

  const credentials: [sentence: string, auths: object, host: string, want: [string, string]][] = [
    ["gives a login", { "r.example": { username: "u", password: "p" } }, "r.example", ["u", "p"]],
    [
      "gives Docker Hub's login under the name that the daemon uses",
      { "https://index.docker.io/v1/": { username: "u", password: "p" } },
      "registry-1.docker.io",
      ["u", "p"],
    ],
    [
      "gives an identity token without a user",
      { "r.example": { username: "u", identitytoken: "id" } },
      "r.example",
      ["", "id"],
    ],
    [
      "gives nothing for another host",
      { "r.example": { username: "u", password: "p" } },
      "s.example",
      ["", ""],
    ],
    [
      "never gives a registry token as a login",
      { "r.example": { registrytoken: "rt" } },
      "r.example",
      ["", ""],
    ],
  ];
  for (const [sentence, auths, host, want] of credentials) {
    it(sentence, async () => {
      const config = parseDockerConfig(JSON.stringify({ auths }));
      const { body } = await daemon(config).ask(Auth.method.credentials, { host });
      assert.deepEqual([body.username, body.secret], want);
    });
  }

  it("gets scoped tokens itself where the registry answers it", async () => {
    const asking = daemon(logins());
    const authority = await asking.ask(Auth.method.getTokenAuthority, {
      host: registry.host,
      salt,
    });
    assert.equal(authority.body.publicKey.length, 32);
    const { status, body } = await asking.ask(Auth.method.fetchToken, wish());
    assert.deepEqual([status, body.token, body.expiresIn], [0, `token for ${scopes[0]}`, 120n]);
  });

  it("gets tokens itself from a registry of an authority that it is told of, for no other registry", async () => {
    const authority = await newAuthority(new Date());
    const { ca, certificate: cert, key } = await issueServer(authority, "localhost", new Date());
    const account = { username: "me", password: "pw", identityToken: "id" };
    const secured = await tokenRegistry(account, { cert, key });
    try {
      const { host, realm } = secured;
      const ask = async (of: string): Promise<[number, string]> => {
        const named = (asked: string) => (asked === of ? ca : undefined);
        const asking = daemon(logins("pw", host), { authority: named });
        await asking.ask(Auth.method.getTokenAuthority, { host, salt });
        const { status, body } = await asking.ask(Auth.method.fetchToken, { ...wish(realm), host });
        return [status, body.token];
      };
      assert.deepEqual(await ask(host), [0, `token for ${scopes[0]}`]);
      assert.deepEqual(await ask("other.example"), [7, ""]);
      assert.deepEqual(secured.scopes, scopes);
    } finally {
      await secured.stop();
    }
  });

  it("proves that it holds the key", async () => {
    const asking = daemon(logins());
    const payload = new Uint8Array(32).fill(9);
    const { body } = await asking.ask(Auth.method.getTokenAuthority, { host: registry.host, salt });
    const proof = await asking.ask(Auth.method.verifyTokenAuthority, {
      host: registry.host,
      salt,
      payload,
    });
    const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), body.publicKey]);
    const key = createPublicKey({ key: spki, format: "der", type: "spki" });
    const signed = Buffer.from(proof.body.signed);
    assert.ok(verify(null, payload, key, signed.subarray(0, 64)));
    assert.deepEqual(signed.subarray(64), Buffer.from(payload));
  });

  it("sends no login to a realm that the registry has not named", async () => {
    const evil = await tokenRegistry({ username: "me", password: "pw", identityToken: "id" });
    try {
      const asking = daemon(logins());
      await asking.ask(Auth.method.getTokenAuthority, { host: registry.host, salt });
      const { status } = await asking.ask(Auth.method.fetchToken, wish(evil.realm));
      assert.equal(status, 7);
      assert.deepEqual(evil.requests, []);
    } finally {
      await evil.stop();
    }
  });

  it("sends no login before it has asked the registry", async () => {
    assert.equal((await daemon(logins()).ask(Auth.method.fetchToken, wish())).status, 7);
    assert.deepEqual(registry.requests, []);
  });

  it("says in the daemon's words that a login is wrong, and not which", async () => {
    const asking = daemon(logins("hunter2"));
    await asking.ask(Auth.method.getTokenAuthority, { host: registry.host, salt });
    const { status, message } = await asking.ask(Auth.method.fetchToken, wish());
    assert.equal(status, 16);
    assert.match(message, /failed to fetch oauth token: unauthorized/);
    assert.doesNotMatch(message, /hunter2/);
  });

  const leaves: [sentence: string, config: () => DockerConfig, options?: AuthOptions][] = [
    ["to the daemon what needs no login", () => parseDockerConfig("{}")],
    ["to the daemon what it cannot reach itself", () => logins("pw", "127.0.0.1:1")],
    ["to the daemon everything, when told so", () => logins(), { scopedTokens: false }],
  ];
  for (const [sentence, config, options] of leaves) {
    it(`leaves ${sentence}`, async () => {
      const [host = registry.host] = config().keys();
      const { status } = await daemon(config(), options).ask(Auth.method.getTokenAuthority, {
        host,
        salt,
      });
      assert.equal(status, 12);
    });
  }

  it("shares tokens between sessions of one secret and equal logins only", async () => {
    const key = async (config: DockerConfig, tokenSharingKey?: Uint8Array) => {
      const options = tokenSharingKey === undefined ? {} : { tokenSharingKey };
      const asked = { host: registry.host, salt };
      const { body } = await daemon(config, options).ask(Auth.method.getTokenAuthority, asked);
      return Buffer.from(body.publicKey).toString("hex");
    };
    const secret = new Uint8Array(32).fill(1);
    assert.equal(await key(logins(), secret), await key(logins(), secret));
    assert.notEqual(await key(logins(), secret), await key(logins("other"), secret));
    assert.notEqual(await key(logins()), await key(logins()));
  });
});
